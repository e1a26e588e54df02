"""Histories side by side in rows of equal width, so that short ones do not cost as much as long ones.

Knows item rows and their order. What a model makes of a row (one token per item or several) is the model's
affair; that pieces of one row are kept apart is too.
Shapes: R rows, w items in a row, p pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from retrograd.data.examples import ExampleContext
from retrograd.errors import InputError

NOTHING = -1
"""Stands where a row holds no item."""


@dataclass(frozen=True, eq=False)
class SequenceRows:
    """Pieces of histories behind one another in rows."""

    items: np.ndarray
    """(R, w) int64 item rows, `NOTHING` behind the last piece."""

    pieces: np.ndarray
    """(R, w) int64 which piece an item belongs to, `NOTHING` where there is none."""

    places: np.ndarray
    """(R, w) int64 how many items of its piece stand before each; 0 where there is none."""

    ends: np.ndarray
    """(p, 2) int64 row and column of the last item of each piece."""

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, eq=False)
class SequenceExamples:
    """Every item of a row as a question for the item after it."""

    rows: SequenceRows
    targets: np.ndarray
    """(R, w) int64 item rows, `NOTHING` where nothing is asked."""

    def __len__(self) -> int:
        return len(self.rows)


def pack(pieces: Sequence[np.ndarray], width: int) -> SequenceRows:
    """Pieces in rows, in the order given, each into the fullest row that still has room for it.

    Args:
        pieces: (length,) int64 each, of 1 to `width` items.

    >>> rows = pack([np.array([7, 8]), np.array([5, 6, 4]), np.array([9])], 3)
    >>> rows.items.tolist(), rows.places.tolist()
    ([[7, 8, 9], [5, 6, 4]], [[0, 1, 0], [0, 1, 2]])
    """
    lengths = np.array([len(piece) for piece in pieces], np.int64)
    assert lengths.min(initial=1) >= 1, "a piece holds an item"
    assert lengths.max(initial=1) <= width, "a piece fits into a row"
    row, column = _best_fit(lengths.tolist(), width)
    shape = (int(row.max(initial=-1)) + 1, width)
    items, owners = np.full(shape, NOTHING, np.int64), np.full(shape, NOTHING, np.int64)
    places = np.zeros(shape, np.int64)
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    at = np.repeat(row, lengths), np.repeat(column, lengths) + within
    items[at] = np.concatenate([np.zeros(0, np.int64), *pieces])
    owners[at] = np.repeat(np.arange(len(pieces)), lengths)
    places[at] = within
    return SequenceRows(items, owners, places, np.stack([row, column + lengths - 1], axis=1))


def _best_fit(lengths: list[int], width: int) -> tuple[np.ndarray, np.ndarray]:
    """(p,) row and first column of each piece."""
    with_room: list[list[int]] = [[] for _ in range(width + 1)]  # room -> rows
    placed, rows = np.zeros((2, len(lengths)), np.int64), 0
    for piece, length in enumerate(lengths):
        room = next((room for room in range(length, width + 1) if with_room[room]), 0)
        if room:
            row = with_room[room].pop()
        else:
            row, room, rows = rows, width, rows + 1
        placed[:, piece] = row, width - room
        with_room[room - length].append(row)
    return placed[0], placed[1]


def cut_from_the_end(items: np.ndarray, length: int) -> list[np.ndarray]:
    """Pieces of at most `length` items, oldest first; only the oldest may be shorter.

    >>> [piece.tolist() for piece in cut_from_the_end(np.arange(5), 2)]
    [[0], [1, 2], [3, 4]]
    """
    starts = range(len(items) % length or min(length, len(items)), len(items), length)
    return np.split(items, list(starts)) if len(items) else []


@dataclass(frozen=True, kw_only=True)
class EveryPrefix:
    """every beginning of a history -> the item taken next, all of one history in one pass."""

    length: int = 50
    """Most items before a target. Longer histories are cut, newest pieces whole."""

    row: int = 64
    """Items in a row; several histories share one."""

    learns_from_histories: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 1 <= self.length <= self.row:
            raise InputError(f"need 1 <= length={self.length} <= row={self.row}")

    def __call__(self, context: ExampleContext) -> SequenceExamples:
        """Every item that has one before it is a target once."""
        row_of = context.corpus.row_of
        taken = [
            np.array([row_of[item] for item in history.items], np.int64) for history in context.histories
        ]
        asked = [piece for items in taken for piece in cut_from_the_end(items[:-1], self.length)]
        answers = [piece for items in taken for piece in cut_from_the_end(items[1:], self.length)]
        rows = pack(asked, self.row)
        return SequenceExamples(rows, pack(answers, self.row).items)
