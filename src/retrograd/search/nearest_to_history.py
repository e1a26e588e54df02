"""Items that read like those a user took: nearest to a decayed mean of their vectors.

Needs no interactions but those of the asker, so it answers with items that nobody took yet. Knows
document vectors and rows; texts of queries are not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from retrograd.errors import InputError
from retrograd.indexes import VectorIndex, VectorIndexConfig
from retrograd.indexes.flat import Flat
from retrograd.search.nearest import document_vectors, indexed, inner_products
from retrograd.search.next_item import history_rows
from retrograd.search.parts import Parts
from retrograd.types import Corpus, Query, Ranking


@dataclass(frozen=True, kw_only=True)
class NearestToHistory:
    """Largest inner product with `sum over k < items of decay^k * vector(h[-1-k])`, brought to length 1."""

    index: VectorIndexConfig = field(default_factory=Flat)
    """`Flat` (exact), `Hnsw` or `Ivf`."""

    items: int = 10
    """Last items of the history that are looked at; 0 takes all."""

    decay: float = 0.8
    """What an item of the history counts, in those of the one after it."""

    exclude_history: bool = True
    """Never answer with what the asker took before."""

    reads_history: ClassVar[bool] = True
    reads_text: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.items < 0 or not 0 < self.decay <= 1:
            raise InputError(f"items={self.items} must not be negative, decay={self.decay} in (0, 1]")

    def build(self, parts: Parts) -> HistoryVectorSearcher:
        """Take vectors and index from `parts.arrays`; make them and leave them there where missing."""
        vectors = document_vectors(parts)
        return HistoryVectorSearcher(self, parts.corpus, vectors, indexed(self.index, parts, vectors))


class HistoryVectorSearcher:
    """Answers by inner product, and scores items that another searcher found."""

    def __init__(
        self, config: NearestToHistory, corpus: Corpus, vectors: np.ndarray, index: VectorIndex
    ) -> None:
        self._config, self._ids, self._row_of = config, corpus.ids, corpus.row_of
        self._vectors, self._index = vectors, index

    def search(self, queries: Sequence[Query], k: int) -> Ranking:
        """The `k` nearest items of each query; none where the history is empty."""
        scores, rows = self.search_rows(queries, k)
        return Ranking.from_rows((query.id for query in queries), rows, scores, self._ids)

    def search_rows(self, queries: Sequence[Query], k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `search`, in matrices: scores (q, k) float32, rows (q, k) int64, -1 padded."""
        if not queries:
            return np.zeros((0, k), np.float32), np.zeros((0, k), np.int64)
        histories = [history_rows(query, self._row_of) for query in queries]
        excluded = [history if self._config.exclude_history else history[:0] for history in histories]
        spare = max(len(set(history.tolist())) for history in excluded)
        scores, rows = self._index.search(self._means(histories), k + spare)
        for line, history in enumerate(histories):
            drop = np.isin(rows[line], excluded[line]) | (len(history) == 0)
            rows[line, drop], scores[line, drop] = -1, -np.inf
        order = np.argsort(rows < 0, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)

    def score(self, queries: Sequence[Query], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """Inner products of each history with its candidate ids, in their order: (candidates,) float32."""
        means = self._means([history_rows(query, self._row_of) for query in queries])
        return [
            inner_products(self._vectors, [self._row_of[item] for item in ids], mean)
            for ids, mean in zip(candidates, means, strict=True)
        ]

    def _means(self, histories: Sequence[np.ndarray]) -> np.ndarray:
        """(q, d) float32 unit rows; zeros where a history is empty."""
        sums = np.zeros((len(histories), self._vectors.shape[1]))
        for line, history in enumerate(histories):
            latest = history[::-1][: self._config.items or None]
            sums[line] = self._config.decay ** np.arange(len(latest)) @ self._vectors[latest]
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        means: np.ndarray = (sums / np.maximum(lengths, 1e-12)).astype(np.float32)
        return means
