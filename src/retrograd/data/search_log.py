"""The purchases behind the queries of a product search, and which of them may be learnt from.

A log is `search_log.tsv[.gz]` with `user_id query_id item_id order part`. The part decides: `train` rows are
pairs; `history` rows are earlier purchases whose query is held out, so they may stand in a user's
history and never become a pair; all others are targets.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from retrograd.data.beir import known
from retrograd.data.lines import check_id, integer, read_table
from retrograd.errors import InputError

PARTS = ("train", "history", "dev", "dev_seen", "test")
"""What a row may be used for."""

PAST = ("train", "history")
"""Parts whose rows may stand in a user's history."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """One row: this user asked this and took that."""

    user: str
    query: str
    item: str
    order: int
    """Position in the user's life; equal for the several queries of one purchase."""

    part: str
    """One of `PARTS`."""


def read_search_log(path: Path | str, *, queries: Container[str], items: Container[str]) -> list[Purchase]:
    """All rows, in file order.

    Raises:
        InputError: a missing column, an item or query that does not exist, an order that is no whole
            number, or an unknown part.
    """
    log = []
    for line, row in read_table(path, ("user_id", "query_id", "item_id", "order", "part")):
        part = row["part"]
        if part not in PARTS:
            raise InputError(f"part {part!r:.40} is not one of {', '.join(PARTS)}", path=path, line=line)
        check_id(row["user_id"], "user_id", path=path, line=line)
        known(row["item_id"], items, "item", path=path, line=line)
        known(row["query_id"], queries, "query", path=path, line=line)
        order = integer(row["order"], "order", path=path, line=line)
        log.append(Purchase(row["user_id"], row["query_id"], row["item_id"], order, part))
    return log


def training_pairs(log: Iterable[Purchase]) -> list[tuple[str, str]]:
    """(query id, item id) of the rows a system may learn from: part `train` and no other.

    >>> training_pairs([Purchase("u", "q", "a", 0, "train"), Purchase("u", "r", "b", 1, "history")])
    [('q', 'a')]
    """
    return [(row.query, row.item) for row in log if row.part == "train"]


def with_histories(
    log: Iterable[Purchase], *, longest: int = 50
) -> Iterator[tuple[Purchase, tuple[str, ...]]]:
    """Every pair and every target of the log, with what its user took before it, oldest first.

    Only rows of parts `train` and `history` at a smaller `order` are the past: neither the purchase
    itself, nor another query of it, nor anything later, nor a target of anybody. A purchase stands in it
    once, however many queries it has.

    Args:
        longest: most purchases kept of each past, the latest ones.

    >>> log = [
    ...     Purchase("u", "q", "a", 0, "history"),
    ...     Purchase("u", "r", "b", 1, "train"),
    ...     Purchase("u", "s", "c", 2, "dev"),
    ... ]
    >>> [(row.item, past) for row, past in with_histories(log)]
    [('b', ('a',)), ('c', ('a', 'b'))]
    """
    log = list(log)
    taken: dict[str, set[tuple[int, str]]] = {}
    for row in log:
        if row.part in PAST:
            taken.setdefault(row.user, set()).add((row.order, row.item))
    past = {user: sorted(steps) for user, steps in taken.items()}
    for row in log:
        if row.part != "history":
            steps = past.get(row.user, [])
            end = bisect_left(steps, (row.order,))
            yield row, tuple(item for _, item in steps[max(0, end - longest) : end])
