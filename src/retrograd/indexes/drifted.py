"""An index whose vectors are not quite the ones to be searched any more: some are gone, others joined.

Wraps any vector index and leaves it untouched. Shapes: n vectors of the index, m that joined, q queries,
d dimensions.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from retrograd.indexes.flat import FlatIndex
from retrograd.types import State


class Searchable(Protocol):
    """What is asked of the index inside."""

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `VectorIndex.search`."""
        ...


class DriftedIndex:
    """Implements `VectorIndex`.

    Args:
        index: over n vectors.
        rows: (n,) int64 number to answer with for each of those, -1 where it is gone.
        joined: (m,) int64 rows of `vectors` that the index does not have.
        vectors: all that are to be found now, by row.
    """

    def __init__(self, index: Searchable, rows: np.ndarray, joined: np.ndarray, vectors: np.ndarray) -> None:
        self._index, self._rows, self._joined = index, rows, joined
        self._gone = int((rows < 0).sum())
        self._beside = FlatIndex(vectors[joined]) if len(joined) else None

    def state(self) -> State:
        """{}: the index inside is kept by whoever made it."""
        return {}

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `VectorIndex.search`: as good as the index for its own, exact for those that joined."""
        scores, rows = self._among_its_own(queries, k)
        if self._beside is not None:
            more, places = self._beside.search(queries, min(k, len(self._joined)))
            scores = np.concatenate([scores, more], axis=1)
            rows = np.concatenate([rows, np.where(places >= 0, self._joined[places], -1)], axis=1)
        return _best(scores, rows, k)

    def _among_its_own(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Asks for more until k of each query's answers are still there, or it has no more to give."""
        depth = min(k + min(self._gone, k), len(self._rows))
        while True:
            scores, found = self._index.search(queries, depth)
            rows = np.where(found >= 0, self._rows[found], -1)
            if ((rows >= 0).sum(axis=1) >= k).all() or depth == len(self._rows):
                return scores, rows
            depth = min(4 * depth, len(self._rows))


def _best(scores: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best of each line, ties by row; -1 and minus infinity behind them."""
    scores = np.where(rows >= 0, scores, -np.inf).astype(np.float32)
    width = k - scores.shape[1]
    if width > 0:
        scores = np.pad(scores, ((0, 0), (0, width)), constant_values=-np.inf)
        rows = np.pad(rows, ((0, 0), (0, width)), constant_values=-1)
    order = np.lexsort((rows, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)
