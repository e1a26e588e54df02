"""Overlap: do documents that are near each other in some space share the beginning of their ids?

Knows codes and vectors, whatever the vectors stand for: texts, or what users took. The codes may have been
made of others.
Shapes: n documents, d dimensions, m levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrograd.errors import InputError
from retrograd.evaluation.diagnostics.hubness import nearest_rows
from retrograd.evaluation.diagnostics.isotropy import unit_rows


@dataclass(frozen=True)
class NeighbourOverlap:
    """How often neighbours share codes, by the number of first codes they share."""

    documents: int
    """That have a vector."""

    neighbours: int
    """Looked at of each."""

    shared: tuple[float, ...]
    """Per level: share of the neighbours that have the same codes up to it, in [0, 1]; never rises."""

    by_chance: tuple[float, ...]
    """Per level: the same of any two different documents; much where few codes are used."""

    def lines(self) -> list[str]:
        """One line a level, as a person reads it."""
        return [
            f"the first {level} codes are shared by {own:.1%} of {self.neighbours} neighbours, "
            f"{chance:.2%} by chance"
            for level, (own, chance) in enumerate(zip(self.shared, self.by_chance, strict=True), 1)
        ]


def neighbour_overlap(codes: np.ndarray, vectors: np.ndarray, *, neighbours: int = 10) -> NeighbourOverlap:
    """Share of the nearest neighbours by cosine that have the same first codes.

    Args:
        codes: (n, m) ints.
        vectors: (n, d) finite; a document whose vector is 0 neither asks nor is a neighbour.
        neighbours: of each document, at least 1; fewer where there are fewer.

    Raises:
        InputError: fewer than two documents have a vector, or the shapes do not fit.

    >>> neighbour_overlap(np.array([[0, 0], [0, 1], [1, 0]]), np.eye(3) + 1, neighbours=2).shared
    (0.3333333333333333, 0.0)
    """
    if codes.ndim != 2 or vectors.ndim != 2 or len(codes) != len(vectors) or neighbours < 1:
        raise InputError(
            f"codes of shape {codes.shape} and vectors of shape {vectors.shape} are of other documents, "
            f"or neighbours={neighbours} is below 1"
        )
    known = vectors.any(axis=1)
    codes, units = codes[known], unit_rows(vectors[known])
    if len(units) < 2:
        raise InputError("fewer than two documents have a vector; there is no neighbour to look at")
    found = nearest_rows(units, units, neighbours + 1)
    others = found != np.arange(len(found))[:, None]
    others[others.all(axis=1), -1] = False  # one that has as many twins as that stands behind them
    nearest = found[others].reshape(len(found), -1)
    same = (codes[nearest] == codes[:, None]).cumprod(axis=2)
    return NeighbourOverlap(
        len(units),
        nearest.shape[1],
        tuple(same.mean(axis=(0, 1)).tolist()),
        tuple(_by_chance(codes[:, :level]) for level in range(1, codes.shape[1] + 1)),
    )


def _by_chance(codes: np.ndarray) -> float:
    """Share of the pairs of different rows that are equal."""
    _, sizes = np.unique(codes, axis=0, return_counts=True)
    return float((sizes * (sizes - 1)).sum() / (len(codes) * (len(codes) - 1)))
