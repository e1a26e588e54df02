"""Requests side by side in rows: what a user took, what they asked for, and which of the two a network is
given.

Knows item rows, texts and three tasks. A piece is a life or a part of it: items in their order and, between
them, queries. What a query sees (the items before it, no other query) is the model's affair.
Shapes: R rows, w tokens of a row, t tokens of some pieces. A token is an item or a query.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from retrograd.data.examples import ExampleContext, TrainQueries
from retrograd.data.sequences import NOTHING, EveryPrefix, SequenceExamples, SequenceRows, pack
from retrograd.errors import InputError
from retrograd.types import Query

RECOMMEND, SEARCH, BOTH = range(3)
"""The tasks: the next item after a history, the item of a text, the item of a text after a history."""


@dataclass(frozen=True, eq=False)
class RequestRows(SequenceRows):
    """Rows of items and queries. `places` counts the items before each token of its piece."""

    queries: np.ndarray
    """(R, w) int64 which of `texts` a token is, `NOTHING` where it is an item or there is none."""

    tasks: np.ndarray
    """(R, w) int64 one of the tasks; 0 where there is nothing."""

    texts: list[str]


@dataclass(eq=False)
class Pieces:
    """Pieces as they are written, token by token."""

    texts: dict[str, int] = field(default_factory=dict)
    """Text -> its number."""

    lengths: list[int] = field(default_factory=list)
    """Tokens of each piece."""

    tokens: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    """Item, query, task, place and target of each; `NOTHING` where there is none."""

    def begin(self) -> None:
        """A piece, empty yet."""
        self.lengths.append(0)

    def item(self, row: int, place: int, task: int) -> None:
        """Something that was taken after `place` others."""
        self._write(row, NOTHING, task, place, NOTHING)

    def query(self, text: str, place: int, target: int = NOTHING) -> None:
        """A text that was asked after so many items, and what is right."""
        number = self.texts.setdefault(text, len(self.texts))
        self._write(NOTHING, number, BOTH if place else SEARCH, place, target)

    def _write(self, *token: int) -> None:
        self.lengths[-1] += 1
        self.tokens.append(token)  # type: ignore[arg-type]

    def rows(self, width: int) -> SequenceExamples:
        """All pieces in rows, `RequestRows`, with their targets."""
        ends = np.cumsum(self.lengths, dtype=np.int64)
        starts = ends - np.asarray(self.lengths, np.int64)
        runs = [np.arange(start, end) for start, end in zip(starts, ends, strict=True)]
        packed = pack(runs, width)
        columns = np.asarray(self.tokens, np.int64).reshape(-1, 5)
        nothing = np.array([[NOTHING, NOTHING, 0, 0, NOTHING]], np.int64)
        items, queries, tasks, places, targets = np.moveaxis(
            np.concatenate([columns, nothing])[packed.items], -1, 0
        )
        rows = RequestRows(items, packed.pieces, places, packed.ends, queries, tasks, list(self.texts))
        return SequenceExamples(rows, targets)


def rows_of_requests(requests: Iterable[tuple[np.ndarray, str]], width: int) -> RequestRows:
    """One piece for each request, in the order given: its items, then its text where there is one.

    Args:
        requests: (length,) int64 item rows, oldest first, and a text; one of the two holds something.
    """
    pieces = Pieces()
    for history, text in requests:
        pieces.begin()
        task = BOTH if text else RECOMMEND
        for place, row in enumerate(history.tolist()):
            pieces.item(row, place, task)
        if text:
            pieces.query(text, len(history))
    rows = pieces.rows(width).rows
    assert isinstance(rows, RequestRows), "that is what pieces are written in"
    return rows


@dataclass(frozen=True, kw_only=True)
class NextItemRequests:
    """every beginning of a history -> the item taken next, as the task without a text."""

    source: EveryPrefix = field(default_factory=lambda: EveryPrefix(row=128))

    def __call__(self, context: ExampleContext) -> SequenceExamples:
        """As `EveryPrefix`."""
        found = self.source(context)
        rows = found.rows
        queries, tasks = np.full_like(rows.items, NOTHING), np.full_like(rows.items, RECOMMEND)
        requests = RequestRows(rows.items, rows.pieces, rows.places, rows.ends, queries, tasks, [])
        return SequenceExamples(requests, found.targets)


@dataclass(frozen=True, kw_only=True)
class TextRequests:
    """text -> document, of any source of such examples, as the task without a history."""

    source: Any = field(default_factory=TrainQueries)
    """An example source of texts."""

    row: int = 128
    """Texts in a row."""

    def __post_init__(self) -> None:
        if self.row < 1:
            raise InputError(f"row={self.row} must be at least 1")

    def __call__(self, context: ExampleContext) -> SequenceExamples:
        """One example per text of the source, in its order."""
        found, pieces = self.source(context), Pieces()
        for at, (text, row) in enumerate(zip(found.texts, found.documents.tolist(), strict=True)):
            if at % self.row == 0:
                pieces.begin()
            pieces.query(text, 0, row)
        return pieces.rows(self.row)


@dataclass(frozen=True, kw_only=True)
class PersonalRequests:
    """query and what its asker took before -> each document judged relevant to it.

    Queries whose histories continue one another share their items. A query without a history is left out.
    """

    length: int = 49
    """Most items read before a query, the newest: one less than the model's length, as a query has a place
    too."""

    row: int = 128

    def __post_init__(self) -> None:
        if not 1 <= self.length < self.row:
            raise InputError(f"need 1 <= length={self.length} < row={self.row}")

    def __call__(self, context: ExampleContext) -> SequenceExamples:
        """One example per positive judgement."""
        pieces = Pieces()
        row_of = context.corpus.row_of
        for chain in self._chains(context.queries):
            taken = [row_of[item] for item in chain[-1].history[-self.length :]]
            asked = [
                (len(query.history[-self.length :]), query.text, row)
                for query in chain
                for row in context.positives(query)
            ]
            room = self.row - len(taken)
            for first in range(0, len(asked), room):
                self._write(pieces, taken, asked[first : first + room])
        return pieces.rows(self.row)

    def _write(self, pieces: Pieces, taken: Sequence[int], asked: Sequence[tuple[int, str, int]]) -> None:
        """A piece: each query behind the items that its asker had taken."""
        pieces.begin()
        place = 0
        for after, text, row in asked:
            for at in range(place, after):
                pieces.item(taken[at], at, BOTH)
            place = after
            pieces.query(text, place, row)

    def _chains(self, queries: Iterable[Query]) -> Iterator[list[Query]]:
        """Queries with a text and a history, in runs in which each history continues the one before."""
        chain: list[Query] = []
        for query in sorted(
            (query for query in queries if query.text.strip() and query.history),
            key=lambda query: query.history,
        ):
            before = chain[-1].history if chain else ()
            if query.history[: len(before)] != before or len(query.history) > self.length:
                yield from [chain] if chain else []
                chain = []
            chain.append(query)
        yield from [chain] if chain else []
