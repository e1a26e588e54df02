"""When an index is built anew: never, every so many steps, or once answers have drifted.

A stored key was right when its document was encoded; the encoder has been trained since. How far the two are
apart is told by the share of answers they have in common, on queries one cares for and on a sample of rows.
Knows keys old and new. Shapes: n rows, d dimensions, q probes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from retrograd.indexes.exhaustive import nearest_rows


@dataclass(frozen=True, kw_only=True)
class Staleness:
    """How old a memory's index is, and what that does to its answers."""

    age: int
    """Calls of `refresh` since its keys were last taken anew."""

    k: int
    overlap: float
    """Mean share of the k answers under the stored keys that fresh keys also give; NaN: not looked at."""

    cosine: float
    """Mean cosine of stored and fresh keys; NaN: not looked at."""

    refreshed: bool
    """Whether this call took them anew."""


class Policy(Protocol):
    """Says when to refresh."""

    @property
    def looks(self) -> bool:
        """Whether it wants to know the overlap, which costs encoding a sample."""
        ...

    def due(self, age: int, overlap: float) -> bool:
        """Whether it is time, `age` calls after the last refresh."""
        ...


@dataclass(frozen=True)
class Never:
    """Report only."""

    looks = True

    def due(self, age: int, overlap: float) -> bool:
        """Never."""
        return False


@dataclass(frozen=True)
class Every:
    """Every `steps` calls (1: each time)."""

    steps: int = 1
    looks = False

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps={self.steps} must be at least 1")

    def due(self, age: int, overlap: float) -> bool:
        """Once it is old enough."""
        return age >= self.steps


@dataclass(frozen=True)
class Drift:
    """Once fewer than a share `overlap` of the answers would stay the same."""

    overlap: float = 0.9
    looks = True

    def __post_init__(self) -> None:
        if not 0 < self.overlap <= 1:
            raise ValueError(f"overlap={self.overlap} must lie in (0, 1]")

    def due(self, age: int, overlap: float) -> bool:
        """Once answers have drifted."""
        return overlap < self.overlap


def overlap_at(stored: Tensor, fresh: Tensor, queries: Tensor, k: int) -> float:
    """Mean share of the k rows nearest by `stored` (n, d) that are also nearest by `fresh` (n, d).

    >>> import torch
    >>> overlap_at(torch.eye(3), torch.eye(3)[[0, 2, 1]], torch.tensor([[0.0, 2.0, 1.0]]), 1)
    0.0
    """
    old, new = (nearest_rows(keys, queries, k) for keys in (stored, fresh))
    return float((old.unsqueeze(-1) == new.unsqueeze(-2)).any(-1).double().mean())
