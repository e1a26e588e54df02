"""Who took which item, and when: the table behind recommendation sets.

Columns of numbers over two lists of names, so that millions of rows stay small. It knows no model
and no split; `splits` cuts it, `dataset` joins it to a corpus.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from retrograd.data.beir import known
from retrograd.data.lines import check_id, integer, number, read_lines, read_table
from retrograd.errors import InputError
from retrograd.types import Corpus, History, Query

TIME_COLUMNS = ("timestamp", "order")
"""What may say when; the first that is there counts. Without one the order of the file does."""

ORDERS = ("newest_first", "chronological")
"""How the titles of a history may follow one another in a text."""


@dataclass(frozen=True, eq=False)
class Interactions:
    """One row per interaction, in file order."""

    users: tuple[str, ...]
    """User ids, by first appearance."""

    items: tuple[str, ...]
    """Item ids, by first appearance."""

    user: np.ndarray
    """(rows,) int64 positions in `users`."""

    item: np.ndarray
    """(rows,) int64 positions in `items`."""

    time: np.ndarray
    """(rows,) float64; only comparable within a user where the file counts steps instead of seconds."""

    rating: np.ndarray
    """(rows,) float64; 1 where the file has none."""

    clock: str = ""
    """Which of `TIME_COLUMNS` `time` came from; empty where the file has none and its order counts."""

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[str, str, float, float]]) -> Interactions:
        """From (user, item, time, rating) tuples.

        >>> Interactions.from_rows([("u", "b", 2.0, 1.0), ("u", "a", 1.0, 1.0)]).histories()
        [History(id='u', items=('a', 'b'))]
        """
        users: dict[str, int] = {}
        items: dict[str, int] = {}
        numbers = np.asarray(
            [
                (users.setdefault(user, len(users)), items.setdefault(item, len(items)), time, rating)
                for user, item, time, rating in rows
            ],
            np.float64,
        ).reshape(-1, 4)
        user, item = numbers[:, 0].astype(np.int64), numbers[:, 1].astype(np.int64)
        return cls(tuple(users), tuple(items), user, item, numbers[:, 2].copy(), numbers[:, 3].copy())

    @property
    def chronological(self) -> np.ndarray:
        """(rows,) positions of the rows user by user, each user's oldest first, ties in file order."""
        return np.lexsort((self.time, self.user))

    def only(self, where: np.ndarray) -> Interactions:
        """The rows that count, (rows,) bool; users and items keep their positions."""
        columns = {name: getattr(self, name)[where] for name in ("user", "item", "time", "rating")}
        return replace(self, **columns)

    def histories(self, where: np.ndarray | None = None) -> list[History]:
        """Each user's items, oldest first (ties in file order), users by first appearance.

        Args:
            where: (rows,) bool, the rows that count; a user without any is left out.
        """
        order = self.chronological
        if where is not None:
            order = order[where[order]]
        present, starts = np.unique(self.user[order], return_index=True)
        edges = pairwise([*starts.tolist(), len(order)])
        return [
            History(self.users[user], tuple(self.items[item] for item in self.item[order[a:b]].tolist()))
            for user, (a, b) in zip(present.tolist(), edges, strict=True)
        ]


def read_interactions(path: Path | str, *, items: Container[str] | None = None) -> Interactions:
    """A `.tsv[.gz]` or `.csv[.gz]` with `user_id` and `item_id`, optionally `timestamp` or `order`, `rating`.

    Args:
        items: the ids that may occur; None accepts all.

    Raises:
        InputError: a missing column, an item that does not exist, a time or rating that is no finite
            number, or whatever `lines.read_table` refuses.
    """
    clocks: set[str] = set()

    def rows() -> Iterator[tuple[str, str, float, float]]:
        for line, row in read_table(path, ("user_id", "item_id")):
            check_id(row["user_id"], "user_id", path=path, line=line)
            check_id(row["item_id"], "item_id", path=path, line=line)
            if items is not None:
                known(row["item_id"], items, "item", path=path, line=line)
            named = next((name for name in TIME_COLUMNS if name in row), "")
            clocks.add(named)
            time = number(row[named], named, path=path, line=line) if named else 0.0
            rating = number(row["rating"], "rating", path=path, line=line) if "rating" in row else 1.0
            yield row["user_id"], row["item_id"], time, rating

    taken = Interactions.from_rows(rows())
    return replace(taken, clock=clocks.pop())  # all lines have the columns of the header


def popularity(histories: Iterable[History]) -> dict[str, int]:
    """Item -> how often it was taken. Count the histories that training may see, never the targets.

    >>> popularity([History("u", ("a", "b")), History("v", ("a",))])
    {'a': 2, 'b': 1}
    """
    return dict(Counter(item for history in histories for item in history.items))


def read_popularity(path: Path | str, *, items: Container[str] | None = None) -> dict[str, int]:
    """Item -> how often it was taken, from interactions or from counts somebody else made.

    A table that names `user_id` and `item_id` is counted without each user's last row, which is the
    target of recommendation (a user of one row has no target and keeps it). Any other file is read as
    `id<TAB>count` lines; a first line that says `id<TAB>count` is skipped.

    Args:
        items: the ids that may occur; None accepts all.

    Raises:
        InputError: what `read_interactions` refuses; a line that is no id and whole number of at least 0, or
            an id that occurs twice or does not exist.
    """
    _, head = next(iter(read_lines(path)))
    if "user_id" in head and "item_id" in head:
        histories = read_interactions(path, items=items).histories()
        return popularity(History(h.id, h.items[:-1] or h.items) for h in histories)
    counts: dict[str, int] = {}
    for line, text in read_lines(path):
        item, _, count = text.partition("\t")
        if not text.strip() or (line == 1 and (item, count) == ("id", "count")):
            continue
        check_id(item, "id", path=path, line=line)
        if items is not None:
            known(item, items, "item", path=path, line=line)
        if item in counts:
            raise InputError(f"item {item!r:.80} is counted twice", path=path, line=line)
        counts[item] = integer(count, "count", path=path, line=line)
        if counts[item] < 0:
            raise InputError(f"count {counts[item]} is below 0", path=path, line=line)
    return counts


def history_text(corpus: Corpus, items: Sequence[str], *, last: int = 10, order: str = "newest_first") -> str:
    """A history in words: the titles of its last items (first words of the text where a title is empty).

    Items the corpus does not hold any more are passed over.

    Args:
        last: most items that are named.
        order: one of `ORDERS`; `newest_first` lets an encoder that cuts long texts drop the oldest.

    >>> from retrograd.types import Document
    >>> history_text(Corpus([Document("a", title="Soap"), Document("b", title="Brush")]), ["a", "b"])
    'Brush. Soap'
    """
    check_history(last, order)
    there = [corpus[corpus.row_of[item]] for item in items if item in corpus.row_of][-last:]
    documents = reversed(there) if order == "newest_first" else there
    return ". ".join(document.title or document.text for document in documents).strip(". ")


def request_text(corpus: Corpus, query: Query, *, items: int = 10, order: str = "newest_first") -> str:
    """What is asked for and by whom, in words: the query, then `history_text`.

    Training and search must write a request alike, so both call this.

    >>> from retrograd.types import Document
    >>> corpus = Corpus([Document("a", title="Soap"), Document("b", title="Brush")])
    >>> request_text(corpus, Query("q", "shampoo", ("a", "b")), order="chronological")
    'shampoo. Soap. Brush'
    """
    parts = (query.text, history_text(corpus, query.history, last=items, order=order))
    return ". ".join(part for part in parts if part.strip())


def check_history(items: int, order: str) -> None:
    """Raise InputError unless at least one item is wanted, in one of `ORDERS`."""
    if items < 1:
        raise InputError(f"{items} items of a history: name at least 1")
    if order not in ORDERS:
        raise InputError(f"order={order!r}; choose one of {', '.join(ORDERS)}")
