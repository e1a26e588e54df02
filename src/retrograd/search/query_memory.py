"""A memory of judged queries that also speaks for queries like them: what was taken after a near text.

The documents of remembered queries gain by how near those queries are to the one asked: an attention
over the training set, added to the cosine another searcher ranks by. It is exact recall where a query
comes back, and fades to nothing where no query is near. Khandelwal et al., "Generalization through
Memorization", 2020 (arXiv 1911.00172), for documents in the place of words.
Shapes: B queries, r remembered queries, n documents, d dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_array

from retrograd.data.examples import ExampleContext
from retrograd.search.memo import MEMORY, Clicks, count_clicks, from_state, to_state
from retrograd.search.nearest import VectorModel, document_vectors, inner_products
from retrograd.search.parts import Parts
from retrograd.types import Corpus, Hit, Query, Ranking, Searcher, State

VECTORS = "remembered_query_vectors"
"""Key of the remembered queries' vectors among `Parts.arrays`: (r, d) float32."""


@dataclass(frozen=True, kw_only=True)
class QueryMemory:
    """`cosine + weight * sum over remembered queries of exp((cos - 1) / temperature) * share of clicks`."""

    then: Any
    """Search config of what finds documents; its scores must be inner products of the model's vectors,
    as those of `Nearest` or of a beam that ranks by `cosine` are."""

    weight: float = 1.0
    """What the clicks of the very same query are worth, in units of the cosine."""

    temperature: float = 0.05
    """How fast a remembered query fades with its distance; at a cosine of 1 - temperature it counts e
    times less."""

    depth: int = 100
    """Documents asked of `then`, or k where that is more."""

    def __post_init__(self) -> None:
        if self.depth < 1 or not self.temperature > 0 or self.weight < 0:
            raise ValueError(
                f"depth={self.depth} must be at least 1, temperature={self.temperature} positive, "
                f"weight={self.weight} not negative"
            )

    memory: ClassVar[str] = MEMORY

    def learn(self, context: ExampleContext) -> State:
        """Count the judgements."""
        return to_state(count_clicks(context.queries, context.qrels))

    def build(self, parts: Parts) -> Searcher:
        """From what `learn` counted; without it `then` answers alone."""
        then: Searcher = self.then.build(parts)
        clicks = from_state(parts.remembered(MEMORY))
        if not clicks:
            return then
        if VECTORS not in parts.arrays:
            parts.arrays[VECTORS] = np.asarray(parts.model.query_vectors(list(clicks)), np.float32)
        memory = Remembered(parts.arrays[VECTORS], _shares(clicks, parts.corpus), self.temperature)
        return QueryMemorySearcher(self, then, parts, memory)


def _shares(clicks: Clicks, corpus: Corpus) -> csr_array:
    """(r, n) share of each remembered query's clicks that went to each document."""
    entries = [
        (at, corpus.row_of[document], count)
        for at, counts in enumerate(clicks.values())
        for document, count in counts.items()
        if document in corpus.row_of
    ]
    rows, columns, counts = np.asarray(entries, np.int64).reshape(-1, 3).T
    totals = np.bincount(rows, counts, minlength=len(clicks))
    return csr_array((counts / totals[rows], (rows, columns)), shape=(len(clicks), len(corpus)))


@dataclass(frozen=True, eq=False)
class Remembered:
    """Queries by vector, and what was taken after each."""

    vectors: np.ndarray
    """(r, d) float32 unit rows."""

    shares: csr_array
    """(r, n) float64."""

    temperature: float
    faintest: float = 1e-4
    """Remembered queries that count less than this are not looked at."""

    def recall(self, query_vectors: np.ndarray) -> csr_array:
        """(B, d) float32 unit rows -> (B, n) what each document gains."""
        weight = np.exp((query_vectors @ self.vectors.T - 1) / self.temperature)
        return csr_array(np.where(weight >= self.faintest, weight, 0.0)) @ self.shares


class QueryMemorySearcher:
    """Adds what is remembered to what `then` finds."""

    def __init__(self, config: QueryMemory, then: Searcher, parts: Parts, memory: Remembered) -> None:
        self._config, self._then, self._memory = config, then, memory
        self._model: VectorModel = parts.model
        self._vectors, self._corpus, self._table = document_vectors(parts), parts.corpus, parts.table

    @property
    def vectors_scored_per_query(self) -> float | None:
        """What `then` compared in the last search, where it counts."""
        return getattr(self._then, "vectors_scored_per_query", None)

    def search(self, queries: Sequence[Query], k: int) -> Ranking:
        """The `k` documents with the largest sum, among those found and those remembered."""
        if not queries:
            return Ranking((), ())
        found = self._then.search(queries, max(k, self._config.depth))
        vectors = np.asarray(self._model.query_vectors([query.text for query in queries]), np.float32)
        gains = self._memory.recall(vectors)
        hits = tuple(
            self._best(vector, gains[[at]], hits, k)
            for at, (vector, hits) in enumerate(zip(vectors, found.hits, strict=True))
        )
        return Ranking(found.query_ids, hits)

    def _best(self, vector: np.ndarray, gains: csr_array, hits: Sequence[Hit], k: int) -> tuple[Hit, ...]:
        gain = dict(zip(gains.indices.tolist(), gains.data.tolist(), strict=True))
        by_row = {self._corpus.row_of[hit.document]: hit for hit in hits}
        missing = np.asarray(sorted(gain.keys() - by_row.keys()), np.int64)
        cosines = inner_products(self._vectors, missing, vector).tolist()
        ids = self._corpus.ids
        by_row |= {
            row: Hit(ids[row], cos, self._path(row))
            for row, cos in zip(missing.tolist(), cosines, strict=True)
        }
        summed = (
            (hit.score + self._config.weight * gain.get(row, 0.0), row, hit) for row, hit in by_row.items()
        )
        best = sorted(summed, key=lambda entry: (-entry[0], entry[1]))[:k]
        return tuple(replace(hit, score=score) for score, _, hit in best)

    def _path(self, row: int) -> tuple[int, ...]:
        """The key of a document that nobody generated."""
        return () if self._table is None else self._table.key(int(self._table.keys_of(row)[0]))
