"""Hubness: do a few documents stand in everybody's lists while most stand in nobody's?

Counts appearances in lists of rows, whoever made them: a searcher, a run file, or exact search over vectors.
Radovanović et al., "Hubs in Space", JMLR 2010, section 3.
Shapes: q lists, k answers per list, n documents, d dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt

import numpy as np

from retrograd.errors import InputError
from retrograd.types import Ranking

_SCORES_AT_ONCE = 1 << 24
"""Entries of the score matrix held in memory: 128 MB of float64."""


@dataclass(frozen=True, eq=False)
class Hubness:
    """The distribution of N_k, the number of top-k lists a document stands in."""

    k: int
    num_lists: int
    num_documents: int
    skewness: float
    """Third standardised moment of N_k; 0 where every document has the same count. The usual figure."""

    never: float
    """P(N_k = 0): share of the documents that no list holds."""

    gini: float
    """0: every document equally often; towards 1: a single document has it all."""

    largest: int
    """N_k of the greatest hub."""

    random_skewness: float
    """Skewness if each list were drawn at random: what so few lists show without any hub."""

    random_never: float
    """P(N_k = 0) of the same random lists."""

    counts: np.ndarray = field(repr=False)
    """(n,) int64: N_k of each document."""


def hubness(occurrences: np.ndarray, *, k: int, num_lists: int) -> Hubness:
    """Figures of N_k.

    Args:
        occurrences: (n,) counts >= 0, n >= 1, from `occurrences_of_rows` or `occurrences_in`.

    Raises:
        InputError: no document or no list.

    >>> hubness(np.array([2, 2, 2]), k=2, num_lists=3).skewness
    0.0
    """
    counts = np.asarray(occurrences, np.int64)
    if counts.ndim != 1 or not len(counts) or num_lists < 1:
        raise InputError(f"{counts.shape} counts of {num_lists} lists: hubness needs a document and a list")
    # lists may be shorter than k, so chance is what was filled, not what could have been
    chance = min(float(counts.sum()) / (num_lists * len(counts)), 1.0)
    spread = sqrt(num_lists * chance * (1 - chance))
    return Hubness(
        k=k,
        num_lists=num_lists,
        num_documents=len(counts),
        skewness=skewness(counts),
        never=float((counts == 0).mean()),
        gini=gini(counts),
        largest=int(counts.max()),
        random_skewness=(1 - 2 * chance) / spread if spread else 0.0,
        random_never=(1 - chance) ** num_lists,
        counts=counts,
    )


def occurrences_of_rows(rows: np.ndarray, num_documents: int) -> np.ndarray:
    """(n,) int64: how many of the lists hold each row.

    Args:
        rows: (q, k) document rows, no row twice in a list; -1 is no answer.
    """
    return np.bincount(rows[rows >= 0], minlength=num_documents)


def occurrences_in(ranking: Ranking, document_ids: Sequence[str], k: int) -> np.ndarray:
    """(n,) int64: in how many of the first-k lists of a ranking each document stands.

    Raises:
        InputError: the ranking names a document that is not among `document_ids`.

    >>> from retrograd.types import Hit
    >>> occurrences_in(Ranking(("q",), ((Hit("b", 2.0), Hit("a", 1.0)),)), ["a", "b"], 1).tolist()
    [0, 1]
    """
    row_of = {document: row for row, document in enumerate(document_ids)}
    counts = np.zeros(len(document_ids), np.int64)
    for query, hits in ranking:
        for hit in hits[:k]:
            if hit.document not in row_of:
                raise InputError(
                    f"query {query!r:.40} is answered by document {hit.document!r:.40}, "
                    "which is not in the corpus"
                )
            counts[row_of[hit.document]] += 1
    return counts


def nearest_rows(queries: np.ndarray, documents: np.ndarray, k: int) -> np.ndarray:
    """Exact search by inner product: (q, min(k, n)) int64 rows, best first, ties by row.

    Args:
        queries: (q, d), of any length.
        documents: (n, d), n >= 1.
        k: at least 1.
    """
    width = min(k, len(documents))
    rows = np.empty((len(queries), width), np.int64)
    columns = np.asarray(documents, np.float64).T
    step = max(1, _SCORES_AT_ONCE // len(documents))
    for start in range(0, len(queries), step):
        scores = np.asarray(queries[start : start + step], np.float64) @ columns
        rows[start : start + step] = _first(scores, width)
    return rows


def _first(scores: np.ndarray, width: int) -> np.ndarray:
    """Columns of the `width` largest scores of each row, equal scores by column."""
    if width == scores.shape[1]:
        return np.argsort(-scores, axis=1, kind="stable")
    floor = -np.partition(-scores, width - 1, axis=1)[:, width - 1 : width]
    found = np.empty((len(scores), width), np.int64)
    for at, (row, least) in enumerate(zip(scores, floor, strict=True)):
        candidates = np.flatnonzero(row >= least)
        found[at] = candidates[np.argsort(-row[candidates], kind="stable")[:width]]
    return found


def skewness(values: np.ndarray) -> float:
    """Third standardised moment, mean((x - mean)^3) / std^3; 0 where nothing varies.

    >>> round(skewness(np.array([0, 0, 0, 4])), 6)  # mean 1, deviations -1 -1 -1 3: (24 / 4) / 3 ** 1.5
    1.154701
    """
    deviations = np.asarray(values, np.float64) - np.mean(values)
    deviation = np.sqrt(np.mean(deviations**2))
    return float(np.mean(deviations**3) / deviation**3) if deviation else 0.0


def gini(values: np.ndarray) -> float:
    """Gini coefficient of amounts >= 0, in [0, 1 - 1/n]; 0 where nobody has anything.

    >>> gini(np.array([1, 1])), gini(np.array([0, 0, 0, 4]))
    (0.0, 0.75)
    """
    ordered = np.sort(np.asarray(values, np.float64))
    total, n = ordered.sum(), len(ordered)
    if not total:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total))
