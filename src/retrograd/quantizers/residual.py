"""Residual quantisation: each level names what the levels before it left over, coarse to fine.

Juang and Gray, "Multiple Stage Vector Quantization for Speech Coding", 1982, fitted level by level.
Shapes: n vectors, d dimensions, m levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from retrograd.errors import InputError
from retrograd.quantizers.balance import balanced_centres
from retrograd.quantizers.codebooks import check_width, codebooks_from_state, codebooks_to_state
from retrograd.quantizers.kmeans import (
    as_points,
    assign_nearest,
    kmeans,
    sample_size,
    squared_distances,
    take_away,
)
from retrograd.types import State

SCALES = "scales"
"""Name of the factors in a state."""


@dataclass(frozen=True, kw_only=True)
class ResidualKMeans:
    """How residual codebooks are fitted by k-means."""

    standardise: bool = False
    """True: distances count each dimension in units of its standard deviation, so that a few wide
    dimensions do not decide alone. Codes still add up to the vector itself."""

    balance: bool = False
    """True: centres are where assignments of equal size put them (`quantizers.balance`), so that codes are
    used more alike, at some cost in reconstruction. Vectors still get the nearest."""

    quantizer: ClassVar[str] = "residual"

    def fit(
        self, vectors: np.ndarray, levels: int, codes: int | Sequence[int], *, seed: int
    ) -> ResidualQuantizer:
        """See `ResidualQuantizer.fit`."""
        return ResidualQuantizer.fit(
            vectors, levels, codes, seed=seed, standardise=self.standardise, balance=self.balance
        )


@dataclass(frozen=True, eq=False)
class ResidualQuantizer:
    """One codebook per level, each over all dimensions."""

    codebooks: tuple[np.ndarray, ...]
    """m matrices (codes, d) float32."""

    scales: np.ndarray | None = None
    """(d,) float32: factors on the dimensions when distances are measured; None for 1 each."""

    @classmethod
    def fit(
        cls,
        vectors: np.ndarray,
        levels: int,
        codes: int | Sequence[int],
        *,
        seed: int,
        standardise: bool = False,
        balance: bool = False,
    ) -> ResidualQuantizer:
        """k-means on the vectors, then on what is left of them, `levels` times; of more vectors than
        `kmeans` looks at (262,144 for up to 256 codes), on a sample of so many.

        Args:
            vectors: (n, d) finite, n >= 1.
            levels: m, at least 1.
            codes: centres per level, one number for all or one for each; fewer where fewer distinct
                residuals exist.
            standardise: as in `ResidualKMeans`.
            balance: as in `ResidualKMeans`.

        Raises:
            InputError: no level, not a number for each, or what `kmeans` refuses.

        >>> ResidualQuantizer.fit(np.eye(4), 2, 2, seed=0).encode(np.eye(4)).shape
        (4, 2)
        """
        counts = codes_per_level(levels, codes)
        residual = as_points(vectors)
        scales = np.ones(residual.shape[1], np.float32)
        if standardise:
            spread = residual.std(axis=0)
            scales = np.divide(1.0, spread, out=scales, where=spread > 0)
        size = sample_size(max(counts))
        if len(residual) > size:
            residual = residual[np.random.default_rng(seed).permutation(len(residual))[:size]]
        residual, codebooks = residual * scales, []  # a copy, from which centres are taken away
        for level, count in enumerate(counts):
            codebook, assignment = kmeans(residual, count, seed=(seed, level))
            if balance:
                codebook = balanced_centres(residual, codebook, seed=(seed, level))
                assignment = assign_nearest(residual, codebook)
            take_away(residual, codebook, assignment)
            codebooks.append(codebook / scales)
        return cls(tuple(codebooks), scales if standardise else None)

    def _scaled(self, vectors: np.ndarray) -> np.ndarray:
        return vectors if self.scales is None else vectors * self.scales

    def _descend(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, m) codes, and (n, d) what was left before the last level."""
        residual = np.array(check_width(vectors, self.codebooks[0].shape[1]))
        codes = np.empty((len(residual), len(self.codebooks)), np.int64)
        for level, codebook in enumerate(self.codebooks):
            if level:
                take_away(residual, self.codebooks[level - 1], codes[:, level - 1])
            codes[:, level] = assign_nearest(self._scaled(residual), self._scaled(codebook))
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
        return squared_distances(self._scaled(self._descend(vectors)[1]), self._scaled(self.codebooks[-1]))

    def state(self) -> State:
        """Plain arrays from which `from_state` builds the same quantiser."""
        scales = {} if self.scales is None else {SCALES: self.scales}
        return codebooks_to_state(self.codebooks) | scales

    @classmethod
    def from_state(cls, state: State) -> ResidualQuantizer:
        """Undo `state`."""
        return cls(codebooks_from_state(state), state.get(SCALES))


def codes_per_level(levels: int, codes: int | Sequence[int]) -> list[int]:
    """One number of codes for each level.

    Raises:
        InputError: no level, or not a number for each.

    >>> codes_per_level(2, 8), codes_per_level(2, (4, 3))
    ([8, 8], [4, 3])
    """
    if levels < 1:
        raise InputError(f"levels={levels} must be at least 1")
    counts = [codes] * levels if isinstance(codes, int) else list(codes)
    if len(counts) != levels:
        raise InputError(f"{len(counts)} numbers of codes do not fit {levels} levels")
    return counts
