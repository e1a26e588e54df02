"""Residual quantisation: each level names what the levels before it left over, coarse to fine.

Juang and Gray, "Multiple Stage Vector Quantization for Speech Coding", 1982, fitted level by level.
Shapes: n vectors, d dimensions, m levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrograd.errors import InputError
from retrograd.quantizers.codebooks import check_width, codebooks_from_state, codebooks_to_state
from retrograd.quantizers.kmeans import assign_nearest, kmeans, squared_distances
from retrograd.types import State


@dataclass(frozen=True, eq=False)
class ResidualQuantizer:
    """One codebook per level, each over all dimensions."""

    codebooks: tuple[np.ndarray, ...]
    """m matrices (codes, d) float32."""

    @classmethod
    def fit(
        cls, vectors: np.ndarray, levels: int, codes: int | Sequence[int], *, seed: int
    ) -> ResidualQuantizer:
        """k-means on the vectors, then on what is left of them, `levels` times.

        Args:
            vectors: (n, d) finite, n >= 1.
            levels: m, at least 1.
            codes: centres per level, one number for all or one for each; fewer where fewer distinct
                residuals exist.

        Raises:
            InputError: no level, not a number for each, or what `kmeans` refuses.

        >>> ResidualQuantizer.fit(np.eye(4), 2, 2, seed=0).encode(np.eye(4)).shape
        (4, 2)
        """
        if levels < 1:
            raise InputError(f"levels={levels} must be at least 1")
        counts = [codes] * levels if isinstance(codes, int) else list(codes)
        if len(counts) != levels:
            raise InputError(f"{len(counts)} numbers of codes do not fit {levels} levels")
        residual, codebooks = np.asarray(vectors, np.float32), []
        for level, count in enumerate(counts):
            codebook, assignment = kmeans(residual, count, seed=(seed, level))
            residual = residual - codebook[assignment]
            codebooks.append(codebook)
        return cls(tuple(codebooks))

    def _descend(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, m) codes, and (n, d) what was left before the last level."""
        residual = check_width(vectors, self.codebooks[0].shape[1])
        codes = np.empty((len(residual), len(self.codebooks)), np.int64)
        for level, codebook in enumerate(self.codebooks):
            if level:
                residual = residual - self.codebooks[level - 1][codes[:, level - 1]]
            codes[:, level] = assign_nearest(residual, codebook)
        return codes, residual

    def encode(self, vectors: np.ndarray) -> np.ndarray:
        """(n, d) -> (n, m) int64 codes."""
        return self._descend(vectors)[0]

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """(n, m) codes -> (n, d) float32: the sum of the centres."""
        centres = [book[codes[:, at]] for at, book in enumerate(self.codebooks)]
        total: np.ndarray = np.stack(centres).sum(axis=0)
        return total

    def last_distances(self, vectors: np.ndarray) -> np.ndarray:
        """(n, d) -> (n, codes) squared distances of the last residual to the codes of the last level."""
        return squared_distances(self._descend(vectors)[1], self.codebooks[-1])

    def state(self) -> State:
        """Plain arrays from which `from_state` builds the same quantiser."""
        return codebooks_to_state(self.codebooks)

    @classmethod
    def from_state(cls, state: State) -> ResidualQuantizer:
        """Undo `state`."""
        return cls(codebooks_from_state(state))
