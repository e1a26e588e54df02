"""Codes: are the ids healthy, do they stay put, and could a perfect decoder rank by them?

`docids.report` counts keys, levels and collisions of a table; here stands what a learned codebook must
answer for beside that. Knows tables, codes and vectors, never the network that made them.
Shapes: n documents, q queries, d dimensions, m levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from retrograd.evaluation.diagnostics.hubness import nearest_rows
from retrograd.evaluation.diagnostics.isotropy import unit_rows
from retrograd.evaluation.measures import Scores, evaluate
from retrograd.evaluation.significance import (
    Interval,
    Resampling,
    bootstrap_interval,
    paired_differences,
)
from retrograd.types import Qrels, Ranking

if TYPE_CHECKING:
    from retrograd.docids.report import DocidReport

COLLAPSED = 0.1
"""A learned level worth less than this share of its codes (or of the documents, if fewer) has collapsed."""

COLLISIONS = 0.1
"""A larger share of documents without an id of their own leaves too much to the order inside a leaf."""


@dataclass(frozen=True, eq=False)
class CodeHealth:
    """What a table says about the codes in it."""

    report: DocidReport
    """Per level: size, used codes, perplexity, largest share; keys, documents that share one, depth."""

    dead_shares: tuple[float, ...]
    """Per level: share of the codes no document has."""

    perplexity_shares: tuple[float, ...]
    """Per level: perplexity over min(codes, documents), in (0, 1]; 1 = evenly used."""

    items_per_leaf: float
    """Mean documents of a key that names any."""

    largest_leaf: int
    collision_rate: float
    """Share of the documents that share a key, in [0, 1]."""

    code_levels: int
    """Leading levels that are learned codebooks; the rest are tie-breakers or words."""

    usage: tuple[np.ndarray, ...] = field(repr=False)
    """Per level (size,) int64: documents that have each code."""

    def alarms(self) -> tuple[str, ...]:
        """What is wrong, in words; empty when nothing is. Learned levels are judged more strictly."""
        found = list(self.report.alarms)
        for number, level in enumerate(self.report.levels[: self.code_levels], 1):
            share = self.perplexity_shares[number - 1]
            if share < COLLAPSED and min(level.size, level.documents) > 1:
                found.append(
                    f"codebook collapse: level {number} has {level.size} codes but is worth "
                    f"{level.perplexity:.1f} ({share:.0%})"
                )
        told = self.report.sharing_documents or any("codes of another" in alarm for alarm in found)
        if self.code_levels and self.collision_rate > COLLISIONS and not told:
            found.append(f"{self.collision_rate:.0%} of the documents have the codes of another document")
        return tuple(found)


def code_health(table: DocidTable, *, code_levels: int = 0) -> CodeHealth:
    """Count a table and judge it.

    Args:
        code_levels: how many leading levels are learned codebooks; 0 where none is or nobody knows. A
            level after them is taken for a tie-breaker, and the collision rate is that of the codes.
    """
    from retrograd.docids.report import describe_table  # its package loads a tensor library

    report = describe_table(table)
    per_document = table.padded[table.pairs[:, 0]]
    usage = tuple(
        np.bincount(column[column >= 0], minlength=size)
        for column, size in zip(per_document.T, table.level_sizes, strict=True)
        if (column >= 0).any()
    )
    leaves = np.bincount(table.pairs[:, 0], minlength=len(table))
    width = code_levels or table.depth
    _, member, sizes = np.unique(per_document[:, :width], axis=0, return_inverse=True, return_counts=True)
    alike = np.unique(table.pairs[sizes[member] > 1, 1])
    return CodeHealth(
        report=report,
        dead_shares=tuple(1 - level.used / level.size for level in report.levels),
        perplexity_shares=tuple(
            level.perplexity / max(1, min(level.size, level.documents)) for level in report.levels
        ),
        items_per_leaf=float(leaves[leaves > 0].mean()),
        largest_leaf=int(leaves.max()),
        collision_rate=len(alike) / max(1, len(table.document_ids)),
        code_levels=code_levels,
        usage=usage,
    )


def health_of_codes(codes: np.ndarray, level_sizes: Sequence[int]) -> CodeHealth:
    """`code_health` of bare codes, before any table exists.

    Args:
        codes: (n, m) ints >= 0, every level learned.

    >>> health_of_codes(np.array([[0], [1], [2]]), [4]).dead_shares
    (0.25,)
    """
    rows = range(len(codes))
    table = DocidTable.from_keys(codes, rows, [str(row) for row in rows], level_sizes=level_sizes)
    return code_health(table, code_levels=codes.shape[1])


@dataclass(frozen=True)
class Drift:
    """How far ids moved between two tables."""

    documents: int
    """In both tables, with a key in both."""

    changed: tuple[float, ...]
    """Per level: share of them whose code at this level is another one."""

    changed_key: float
    """Share of them whose key differs anywhere."""


def drift(before: DocidTable, after: DocidTable) -> Drift:
    """Share of the documents whose id changed, per level; the first key of a document counts.

    Raises:
        InputError: no document has a key in both tables.
    """
    old, new = first_keys(before), first_keys(after)
    row_of = {document: row for row, document in enumerate(before.document_ids)}
    shared = [(row_of[d], row) for row, d in enumerate(after.document_ids) if d in row_of]
    pairs = np.array(shared, np.int64).reshape(-1, 2)
    depth = max(old.shape[1], new.shape[1])
    left, right = _widened(old[pairs[:, 0]], depth), _widened(new[pairs[:, 1]], depth)
    keyed = (left[:, 0] >= 0) & (right[:, 0] >= 0)
    if not keyed.any():
        raise InputError("no document has a key in both tables; are they of one corpus?")
    moved = left[keyed] != right[keyed]
    return Drift(len(moved), tuple(moved.mean(axis=0).tolist()), float(moved.any(axis=1).mean()))


def first_keys(table: DocidTable) -> np.ndarray:
    """(documents, depth) int64: the first key of each document, padded with -1; all -1 where it has none.

    >>> table = DocidTable.from_keys([[1, 0], [2]], [1, 0], ["a", "b"], level_sizes=(3, 1))
    >>> first_keys(table).tolist()
    [[2, -1], [1, 0]]
    """
    keys, starts = table.by_document
    found = np.full((len(table.document_ids), table.depth), -1, np.int64)
    has_key = np.diff(starts) > 0
    found[has_key] = table.padded[keys[starts[:-1][has_key]]]
    return found


def _widened(keys: np.ndarray, depth: int) -> np.ndarray:
    return np.pad(keys, ((0, 0), (0, depth - keys.shape[1])), constant_values=-1)


@dataclass(frozen=True)
class Capacity:
    """What is left of a ranking when the ids stand in for the vectors: all that a decoder could get which
    followed the geometry without error."""

    measure: str
    by_vectors: Interval
    """All documents ranked by cos(query, document vector)."""

    by_codes: Interval
    """All documents ranked by cos(query, what their id stands for), ties by row."""

    difference: Interval
    """Codes less vectors, paired over queries."""


@dataclass(frozen=True)
class VectorSpace:
    """Queries and documents in one space."""

    query_ids: Sequence[str]
    queries: np.ndarray
    """(q, d)."""

    document_ids: Sequence[str]
    documents: np.ndarray
    """(n, d)."""

    def ranking(self, documents: np.ndarray, k: int) -> Ranking:
        """Exact order of (n, d) stand-ins for the documents by cosine, ties by row."""
        units = unit_rows(documents)
        rows = nearest_rows(unit_rows(self.queries), units, k)
        scores = np.tile(-np.arange(rows.shape[1], dtype=np.float64), (len(rows), 1))
        return Ranking.from_rows(self.query_ids, rows, scores, self.document_ids)


def code_capacity(
    space: VectorSpace,
    reconstructions: np.ndarray,
    qrels: Qrels,
    *,
    measure: str = "nDCG@10",
    resampling: Resampling | None = None,
) -> Capacity:
    """Rank exhaustively by what the ids stand for, and by the vectors, and measure both.

    Args:
        reconstructions: (n, d): the vector each document's id stands for, in row order.
        measure: its cutoff (100 where it has none) bounds the lists.

    Raises:
        InputError: shapes that differ, or whatever `evaluate` refuses.
    """
    if reconstructions.shape != space.documents.shape:
        raise InputError(
            f"reconstructions of shape {reconstructions.shape} do not stand for vectors of "
            f"shape {space.documents.shape}"
        )
    cutoff = measure.partition("@")[2]
    k = int(cutoff) if cutoff.isdigit() else 100
    vectors, codes = (
        evaluate(space.ranking(stand_ins, k), qrels, [measure])
        for stand_ins in (space.documents, reconstructions)
    )
    gaps = paired_differences(codes.per_query[measure], vectors.per_query[measure])
    return Capacity(
        measure,
        _interval(vectors, measure, resampling),
        _interval(codes, measure, resampling),
        bootstrap_interval(gaps, resampling=resampling),
    )


def _interval(scores: Scores, measure: str, resampling: Resampling | None) -> Interval:
    return bootstrap_interval(np.array(list(scores.per_query[measure].values())), resampling=resampling)
