"""Structures that find nearest rows: vectors (`flat`, `faiss_index`) and words (`lexical`).

The configs a saved recipe may name are listed in `CONFIGS`.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from retrograd.indexes.faiss_index import Hnsw, Ivf
from retrograd.indexes.flat import Flat
from retrograd.types import State

CONFIGS: tuple[type, ...] = (Flat, Hnsw, Ivf)
"""Every choice of a vector index."""


class VectorIndex(Protocol):
    """Finds the rows with the largest inner product."""

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The `k` rows with the largest inner products, best first, ties by row.

        Args:
            queries: (q, d) float32.
            k: at least 1.

        Returns: scores (q, k) float32 and rows (q, k) int64; row -1 marks "none".
        """
        ...

    def state(self) -> State:
        """What is worth saving beside the vectors; {} where nothing is."""
        ...


class VectorIndexConfig(Protocol):
    """The choice of a vector index as a value."""

    @property
    def name(self) -> str:
        """Under which its state is kept; equal for settings that build the same index."""
        ...

    def build(self, vectors: np.ndarray) -> VectorIndex:
        """Index the rows of (n, d) float32."""
        ...

    def load(self, state: State, vectors: np.ndarray) -> VectorIndex:
        """The index whose `state()` was saved; ArtifactError when it is not one of these vectors."""
        ...
