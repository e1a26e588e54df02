"""Questions that are vectors already: the documents nearest to what somebody else encoded.

Exact, whatever index the system's own search uses. Knows vectors and rows; no text and no model but for
the making of the document vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from retrograd.errors import InputError
from retrograd.indexes.flat import FlatIndex
from retrograd.search.nearest import VECTORS, document_vectors
from retrograd.search.parts import Parts
from retrograd.types import Ranking


def has_vectors(parts: Parts) -> bool:
    """Whether the system has a vector for each document, or a model that makes them."""
    return VECTORS in parts.arrays or hasattr(parts.model, "document_vectors")


class VectorSearcher:
    """Largest inner products with the documents' vectors, ties by row.

    Raises:
        ArtifactError: the vectors that are kept do not belong to this corpus.
    """

    def __init__(self, parts: Parts) -> None:
        self._ids, self._vectors = parts.corpus.ids, document_vectors(parts)
        self._index = FlatIndex(self._vectors)

    def search(self, vectors: Any, k: int, allowed: np.ndarray | None = None) -> Ranking:
        """The `k` nearest documents of each vector; queries are named by their position.

        Args:
            vectors: (q, d) numbers.
            allowed: (documents,) bool; None allows all.

        Raises:
            InputError: another width than the documents' vectors, or a number that is not finite.
        """
        asked = _as_queries(vectors, self._vectors.shape[1])
        rows = np.arange(len(self._ids)) if allowed is None else np.flatnonzero(allowed)
        if not len(rows) or not len(asked):
            return Ranking(tuple(map(str, range(len(asked)))), ((),) * len(asked))
        index = self._index if allowed is None else FlatIndex(self._vectors[rows])
        scores, places = index.search(asked, min(k, len(rows)))
        return Ranking.from_rows(map(str, range(len(asked))), rows[places], scores, self._ids)


def _as_queries(vectors: Any, width: int) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):
            asked = np.asarray(vectors, dtype=np.float32)
    except (TypeError, ValueError, OverflowError):
        raise InputError("a vector is a list of numbers, all of one length") from None
    if asked.ndim != 2 or (asked.shape[1] != width and len(asked)):
        raise InputError(f"vectors of shape {asked.shape} do not fit; give rows of {width} numbers")
    if not np.isfinite(asked).all():
        raise InputError("a vector holds NaN or a number too large; all must be finite")
    return asked
