"""What is odd about a file of interactions, said before anybody trusts a figure made from it.

Nothing here is refused: each oddity is one `DataWarning` that names the file and a user. Sequences that
are sorted by item instead of by time have circulated as benchmark data; on them the "next" item is
given away by the one before.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from retrograd.data.interactions import Interactions
from retrograd.errors import DataWarning
from retrograd.types import Corpus, History

CODE_FIELDS = ("asin", "code", "sku")
"""Metadata that may hold a product code, the first that is there; else the item's id is its code."""

SORTED_SHARE = 0.95
"""Above this share of neighbours in ascending order a file is sorted by item, not by time."""

FEWEST_PAIRS = 20
"""Neighbours needed before that can be said."""

CodeOrder = tuple[int, int, str]


def audited(taken: Interactions, corpus: Corpus, path: Path | str) -> Interactions:
    """The interactions without rows that stand twice; whatever else is odd is only warned of.

    Two rows are one where user, item and time are equal; without a column for time, where a user's
    neighbouring rows name one item.
    """
    order = taken.chronological
    same_user = taken.user[order][1:] == taken.user[order][:-1]
    backwards = (np.diff(taken.time) < 0) & (np.diff(taken.user) == 0)
    if backwards.any():
        users = _users(taken, np.flatnonzero(backwards))
        _warn(path, f"{taken.clock} goes backwards for {users}; their rows were put into order")
    repeated = _repeated(taken, order, same_user)
    if repeated.any():
        users = _users(taken, np.flatnonzero(repeated))
        _warn(path, f"{int(repeated.sum()):,} duplicate interactions of {users} were left out")
        taken = taken.only(~repeated)
    single = np.bincount(taken.user, minlength=len(taken.users)) == 1
    if single.any():
        users = _users(taken, np.flatnonzero(single[taken.user]))
        _warn(path, f"{users} took one item only: there is nothing to predict it from")
    share, pairs = ascending_share(taken.histories(), corpus)
    if share > SORTED_SHARE and pairs >= FEWEST_PAIRS:
        _warn(
            path,
            f"{share:.1%} of neighbouring items ascend by id or product code: the sequences are sorted by "
            "item, not by time, and figures about the next item mean nothing",
        )
    return taken


def ascending_share(histories: Iterable[History], corpus: Corpus) -> tuple[float, int]:
    """(share of neighbouring items that ascend, neighbours looked at), by id or code, whichever is more.

    >>> from retrograd.types import Document
    >>> items = Corpus([Document("2"), Document("10")])
    >>> ascending_share([History("u", ("2", "10"))], items)
    (1.0, 1)
    """
    steps = [pair for history in histories for pair in pairwise(history.items)]
    shares = [0.0]
    for order in ({document.id: code_order(document.id) for document in corpus}, product_codes(corpus)):
        ascending = sum(order[one] < order[two] for one, two in steps)
        shares.append(ascending / max(1, len(steps)))
    return max(shares), len(steps)


def product_codes(corpus: Corpus) -> dict[str, CodeOrder]:
    """Item -> where its product code (of `CODE_FIELDS`, else its id) stands among the others."""
    return {
        document.id: code_order(
            next(
                (str(document.metadata[name]) for name in CODE_FIELDS if document.metadata.get(name)),
                document.id,
            )
        )
        for document in corpus
    }


def code_order(code: str) -> CodeOrder:
    """Numbers by value and before all else, the rest by letters.

    >>> sorted(["10", "b", "9"], key=code_order)
    ['9', '10', 'b']
    """
    return (0, int(code), "") if code.isascii() and code.isdigit() else (1, 0, code)


def _repeated(taken: Interactions, order: np.ndarray, same_user: np.ndarray) -> np.ndarray:
    """(rows,) bool: rows that say again what a row before them said."""
    repeated = np.zeros(len(taken), bool)
    if taken.clock:
        cells = np.stack([taken.user, taken.item, taken.time])
        _, first = np.unique(cells, axis=1, return_index=True)
        repeated[:] = True
        repeated[first] = False
    else:
        again = same_user & (taken.item[order][1:] == taken.item[order][:-1])
        repeated[order[1:][again]] = True
    return repeated


def _users(taken: Interactions, rows: Sequence[int] | np.ndarray) -> str:
    users = np.unique(taken.user[rows])
    name = f"user {taken.users[users[0]]!r:.60}"
    return name if len(users) == 1 else f"{len(users):,} users such as {name[5:]}"


def _warn(path: Path | str, reason: str) -> None:
    warnings.warn(f"{path}: {reason}", DataWarning, stacklevel=3)
