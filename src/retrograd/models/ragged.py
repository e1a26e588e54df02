"""Rows of different length behind one another in one array, and batches of rows of like length.

Knows no text and no network. Shapes: n rows, t items in all rows together, B rows of a batch,
L items of the longest row of that batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of different length.

    >>> rows = Ragged.of([np.array([7, 8, 9]), np.array([5])], np.zeros(0, np.int64))
    >>> values, where = rows.padded(np.array([1, 0]))
    >>> values.tolist(), where.sum(1).tolist()
    ([[5, 0, 0], [7, 8, 9]], [1, 3])
    """

    values: np.ndarray
    """(t, ...) all rows behind one another."""

    offsets: np.ndarray
    """(n + 1,) int64: row `i` is `values[offsets[i]:offsets[i + 1]]`."""

    @classmethod
    def of(cls, rows: Sequence[np.ndarray], like: np.ndarray) -> Ragged:
        """From rows; `like` (0, ...) gives dtype and trailing shape, also where there is no row."""
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        return cls(np.concatenate([like, *rows], dtype=like.dtype), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """(n,) int64."""
        return np.diff(self.offsets)

    def padded(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Some rows (B,) as a (B, L, ...) tensor, zeros behind their ends, and (B, L) bool where they are."""
        lengths = self.lengths[rows]
        where = np.arange(lengths.max(initial=1)) < lengths[:, None]
        values = np.zeros((*where.shape, *self.values.shape[1:]), self.values.dtype)
        at = np.arange(where.shape[1]) + self.offsets[:-1][rows, None]
        values[where] = self.values[at[where]]
        return torch.from_numpy(values), torch.from_numpy(where)


def batches_by_length(lengths: np.ndarray, budget: int) -> list[np.ndarray]:
    """All rows, longest first, cut so that each batch padded to its longest holds at most `budget` items.

    Args:
        lengths: (n,) int, each at least 1.
        budget: items per batch; a row longer than this makes a batch of its own.

    Returns: rows (B,) int64 of each batch.

    >>> [rows.tolist() for rows in batches_by_length(np.array([1, 4, 2, 4]), 8)]
    [[1, 3], [2, 0]]
    """
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        size = max(1, budget // int(lengths[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches
