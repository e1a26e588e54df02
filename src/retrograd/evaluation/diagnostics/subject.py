"""Subject: what there is to look at in a system, whatever its recipe.

Asks a fitted system for lists, vectors, ids and codebooks by what it can do, never by what it is
called, and writes down what it lacks. Computes no figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from retrograd.docid_table import DocidTable
from retrograd.evaluation.diagnostics.agreement import Relaxation
from retrograd.evaluation.diagnostics.codes import VectorSpace, first_keys
from retrograd.progress import track
from retrograd.types import Corpus, Query, Ranking, Searcher

MOST_QUERIES = 2000
"""Queries whose vectors are compared with every document; of more, so many are drawn."""

_QUERIES_AT_ONCE = 64


@runtime_checkable
class CodeModel(Protocol):
    """Ids that stand for vectors."""

    @property
    def codebooks(self) -> Sequence[np.ndarray]:
        """(K, d) per level."""
        ...

    def reconstruct(self, codes: np.ndarray) -> np.ndarray:
        """(n, m) codes -> (n, d) float32."""
        ...


@dataclass(frozen=True)
class FixedCodes:
    """The codebooks a docid scheme left in its table."""

    quantizer: Any

    @property
    def codebooks(self) -> Sequence[np.ndarray]:
        """One matrix per level."""
        books: Sequence[np.ndarray] = self.quantizer.codebooks
        return books

    def reconstruct(self, codes: np.ndarray) -> np.ndarray:
        """(n, m) codes -> (n, d) float32."""
        vectors: np.ndarray = self.quantizer.decode(codes)
        return vectors


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One system, or one run file, as the diagnostics see it. What it lacks is None."""

    name: str
    ranking: Ranking
    """Its answers to the judged queries."""

    space: VectorSpace | None = None
    """Query and document vectors it searches by."""

    table: DocidTable | None = None
    codes: CodeModel | None = None
    code_space: VectorSpace | None = None
    """The vectors the codes were made from, if they can be made again."""

    relaxation: Relaxation | None = None
    """How its codes were softened while it learnt; None where they never were."""

    metrics: Path | None = None
    """Its training log."""

    lacks: tuple[str, ...] = field(default=())
    """What could not be looked at and why, a line each."""

    def codes_by_document(self) -> np.ndarray | None:
        """(n, m) int64: the learned part of each document's first key; None without learned codes."""
        if self.table is None or self.codes is None:
            return None
        return first_keys(self.table)[:, : len(self.codes.codebooks)]


def subject_of_run(name: str, ranking: Ranking) -> Subject:
    """A run file: lists and nothing else."""
    return Subject(
        name=name, ranking=ranking, lacks=("vectors, ids and training: a run file holds lists only",)
    )


def subject_of(system: Any, name: str, queries: Sequence[Query], k: int, *, seed: int) -> Subject:
    """Search and collect.

    Args:
        system: a fitted `System`: `corpus`, `searcher`, `model`, `table`, `parts`, `recipe`, `fitted`.
        queries: the judged ones.
        k: answers per query.
        seed: draws the queries whose vectors are looked at where there are more than `MOST_QUERIES`.
    """
    lacks: list[str] = []
    drawn = some_queries(queries, MOST_QUERIES, seed)
    space = _space(system, drawn, lacks)
    codes, code_space = _codes(system, space, drawn, lacks)
    metrics = system.folder / "metrics.jsonl"
    if not metrics.is_file():
        lacks.append("gradients: nothing was trained")
    return Subject(
        name=name,
        ranking=search_in_parts(system.searcher, queries, min(k, len(system.corpus)), f"searching {name}"),
        space=space,
        table=system.table,
        codes=codes,
        code_space=code_space,
        relaxation=_relaxation(system.model) if codes is not None else None,
        metrics=metrics if metrics.is_file() else None,
        lacks=tuple(lacks),
    )


def search_in_parts(searcher: Searcher, queries: Sequence[Query], k: int, description: str) -> Ranking:
    """All answers, a few queries at a time, so that progress can be shown."""
    starts = range(0, len(queries), _QUERIES_AT_ONCE)
    found = [searcher.search(queries[at : at + _QUERIES_AT_ONCE], k) for at in track(starts, description)]
    return Ranking(
        tuple(query for part in found for query in part.query_ids),
        tuple(hits for part in found for hits in part.hits),
    )


def some_queries(queries: Sequence[Query], most: int, seed: int) -> Sequence[Query]:
    """All, or `most` of them drawn at random, in their order."""
    if len(queries) <= most:
        return queries
    rows = np.random.default_rng([seed, 5]).choice(len(queries), most, replace=False)
    return [queries[row] for row in np.sort(rows)]


def _space(system: Any, queries: Sequence[Query], lacks: list[str]) -> VectorSpace | None:
    if not hasattr(system.model, "query_vectors") or not hasattr(system.model, "document_vectors"):
        lacks.append("isotropy and hubness of vectors: the system makes no vectors")
        return None
    from retrograd.search.nearest import document_vectors

    documents = document_vectors(system.parts)
    return _as_space(queries, system.model.query_vectors, system.corpus, documents)


def _as_space(
    queries: Sequence[Query], query_vectors: Any, corpus: Corpus, documents: np.ndarray
) -> VectorSpace:
    vectors = np.asarray(query_vectors([query.text for query in queries]), np.float32)
    return VectorSpace([query.id for query in queries], vectors, corpus.ids, documents)


def _codes(
    system: Any, space: VectorSpace | None, queries: Sequence[Query], lacks: list[str]
) -> tuple[CodeModel | None, VectorSpace | None]:
    """Codebooks of the model, else of the docid scheme, and the vectors that were quantised."""
    if system.table is None:
        lacks.append("ids: the system has none")
        return None, None
    if isinstance(system.model, CodeModel):
        return system.model, space
    scheme = system.recipe.docids
    if not hasattr(scheme, "quantizer") or not isinstance(scheme.quantizer, str):
        lacks.append("code capacity and norms: the ids are not codes of a codebook")
        return None, None
    from retrograd.quantizers import QUANTIZERS

    codes = FixedCodes(QUANTIZERS[scheme.quantizer].from_state(system.table.state))
    if scheme.of != "documents":
        lacks.append(f"code capacity: the codes were made from {scheme.of}, which are not kept")
        return codes, None
    encoder = system.fitted.encoder(scheme.encoder, system.corpus.contents)
    documents = encoder.encode_document(system.corpus.contents)
    return codes, _as_space(queries, encoder.encode_query, system.corpus, documents)


def _relaxation(model: Any) -> Relaxation | None:
    quantizer = getattr(model, "quantizer", None)
    if not getattr(quantizer, "softens", False):
        return None
    scores = model.quantizer.scores
    scales = tuple(scores.scale(level).item() for level in range(len(model.codebooks)))
    return Relaxation(scale=scales, cosine=scores.config.cosine)


def restricted(qrels: Mapping[str, Mapping[str, int]], query_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """The judgements of these queries.

    >>> restricted({"a": {"d": 1}, "b": {"e": 1}}, ["b", "c"])
    {'b': {'e': 1}}
    """
    return {query: dict(qrels[query]) for query in query_ids if query in qrels}
