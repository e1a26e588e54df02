"""Interactions as a task: who is asked with which history, what they took next, in which slice they fall.

Joins a cut to a corpus. It never looks at a system; what is asked is a `Query` whose text is empty and
whose history is all its user took before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from retrograd.data.audit import CodeOrder, product_codes
from retrograd.data.cuts import Cut
from retrograd.data.interactions import Interactions
from retrograd.types import Corpus, History, Qrels, Query

LENGTHS = (5, 10, 20)
"""Where slices by history length begin, beside the first."""

Slicings = Mapping[str, Mapping[str, str]]
"""What is sliced by -> query -> the slice it is in."""


@dataclass(frozen=True, eq=False)
class Cases:
    """One split: everybody who is asked, and what is right."""

    queries: dict[str, Query]
    qrels: Qrels
    slices: Slicings


def cut_interactions(corpus: Corpus, taken: Interactions, cut: Cut) -> tuple[list[History], dict[str, Cases]]:
    """(what may be learnt from, split -> its cases).

    A user is asked in a split where something of theirs is in it and something else came before.

    Raises:
        InputError: the cut needs times that these interactions do not have.
    """
    parted = cut(taken)
    codes = product_codes(corpus)
    splits = {name: _cases(taken, parted.part, part, codes) for name, part in parted.asked.items()}
    return taken.histories(parted.part <= parted.learnt), splits


def _cases(taken: Interactions, part: np.ndarray, of: int, codes: Mapping[str, CodeOrder]) -> Cases:
    past = {history.id: history.items for history in taken.histories(part < of)}
    future = [history for history in taken.histories(part == of) if history.id in past]
    queries = {history.id: Query(history.id, "", past[history.id]) for history in future}
    slices = {
        "history length": {name: length_label(len(query.history)) for name, query in queries.items()},
        "last step": {
            history.id: _direction(codes[past[history.id][-1]], codes[history.items[0]]) for history in future
        },
    }
    if taken.clock == "timestamp":
        slices["time of the target"] = _ties(taken, part, of)
    return Cases(queries, {history.id: dict.fromkeys(history.items, 1) for history in future}, slices)


def length_label(length: int) -> str:
    """The slice of a history of this length.

    >>> [length_label(length) for length in (1, 5, 19, 20)]
    ['1 to 4', '5 to 9', '10 to 19', '20 and more']
    """
    starts = (1, *LENGTHS)
    at = sum(start <= length for start in LENGTHS)
    return f"{starts[at]} to {starts[at + 1] - 1}" if at < len(LENGTHS) else f"{starts[at]} and more"


def _direction(one: CodeOrder, two: CodeOrder) -> str:
    """Interactions of one moment are often ordered by product code: a step down is certainly none of them."""
    return "ascending" if two > one else "descending"


def _ties(taken: Interactions, part: np.ndarray, of: int) -> dict[str, str]:
    """User -> whether the first target happened at the very time of the last item before it."""
    order = taken.chronological
    user, parts, time = taken.user[order], part[order], taken.time[order]
    first = np.flatnonzero((parts[1:] == of) & (parts[:-1] < of) & (user[1:] == user[:-1])) + 1
    labels = np.where(time[first] == time[first - 1], "with the last item", "later")
    return {taken.users[who]: label for who, label in zip(user[first].tolist(), labels.tolist(), strict=True)}
