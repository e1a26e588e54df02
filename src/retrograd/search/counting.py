"""Recommenders that only count: how popular, what followed, what was taken together.

No training, no gradient; they are what any learned recommender must be shown beside. They read
`Query.history` and never its text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.sparse import csr_array

from retrograd.data.examples import ExampleContext
from retrograd.errors import InputError
from retrograd.search.item_memory import (
    ItemLinks,
    PackedHistories,
    co_occurrences,
    counts_from_state,
    counts_state,
    transitions,
)
from retrograd.search.learning import histories_of
from retrograd.search.next_item import ItemScores, NextItemSearcher
from retrograd.search.parts import Parts
from retrograd.types import State

TIES = ("smallest_row", "first_touched", "popularity")
"""Which of two items with equal scores goes first: the one earlier in the corpus (the smallest id where
items are ordered by it), the one met first while counting, or the one taken more often."""


@dataclass(frozen=True, kw_only=True)
class Popular:
    """What most users took, whoever asks."""

    exclude_history: bool = True
    """Never answer with what the asker took before."""

    reads_history: ClassVar[bool] = True
    reads_text: ClassVar[bool] = False
    memory: ClassVar[str] = "popularity"

    def learn(self, context: ExampleContext) -> State:
        """Count."""
        packed = PackedHistories.of(histories_of(context), context.corpus)
        return counts_state(np.bincount(packed.items, minlength=len(context.corpus)), context.corpus.ids)

    def build(self, parts: Parts) -> NextItemSearcher:
        """From what `learn` counted."""
        counts = counts_from_state(parts.counted(self.memory), parts.corpus.row_of).astype(np.float64)
        return NextItemSearcher(
            parts.corpus,
            lambda histories: ItemScores(np.broadcast_to(counts, (len(histories), len(counts)))),
            exclude_history=self.exclude_history,
        )


@dataclass(frozen=True, kw_only=True)
class TransitionKNN:
    """`score(j | h) = sum over k < items of decay^k * T[h[-1-k]][j]`, T counted in a window.

    T adds 1/d for an item d places after another, d up to `window`, and `backward`/d the other way.
    Items that nothing in the history leads to are no answer.
    """

    window: int = 5
    """How many places later still counts."""

    backward: float = 0.0
    """What a step back counts, in steps forward."""

    items: int = 3
    """Last items of the history that are looked at; 0 takes all."""

    decay: float = 0.5
    """What an item of the history counts, in those of the one after it."""

    ties: str = "smallest_row"
    """One of `TIES`."""

    exclude_history: bool = True
    """Never answer with what the asker took before."""

    reads_history: ClassVar[bool] = True
    reads_text: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.window < 1 or self.backward < 0:
            raise InputError(
                f"window={self.window} must be at least 1, backward={self.backward} not negative"
            )
        _check_reading(self.items, self.decay, self.ties)

    @property
    def memory(self) -> str:
        """Of its own for every way to count."""
        return f"transitions_{self.window}_{float(self.backward)}"

    def learn(self, context: ExampleContext) -> State:
        """Count, users in the order given."""
        packed = PackedHistories.of(histories_of(context), context.corpus)
        links = transitions(packed, len(context.corpus), window=self.window, backward=self.backward)
        counts = np.bincount(packed.items, minlength=len(context.corpus))
        return {**links.state(context.corpus.ids), "counts": counts}

    def build(self, parts: Parts) -> NextItemSearcher:
        """From what `learn` counted."""
        scores = LinkScores.of(parts.counted(self.memory), parts, self.items, self.decay, self.ties)
        return NextItemSearcher(parts.corpus, scores, exclude_history=self.exclude_history)


@dataclass(frozen=True, kw_only=True)
class ItemKNN:
    """`score(j | h) = sum over k of decay^k * cosine(users of h[-1-k], users of j)` (Sarwar et al. 2001)."""

    items: int = 0
    """Last items of the history that are looked at; 0 takes all."""

    decay: float = 0.5
    """What an item of the history counts, in those of the one after it; 1 forgets their order."""

    ties: str = "popularity"
    """One of `TIES`."""

    exclude_history: bool = True
    """Never answer with what the asker took before."""

    reads_history: ClassVar[bool] = True
    reads_text: ClassVar[bool] = False
    memory: ClassVar[str] = "co_occurrence"

    def __post_init__(self) -> None:
        _check_reading(self.items, self.decay, self.ties)

    def learn(self, context: ExampleContext) -> State:
        """Count who took both."""
        packed = PackedHistories.of(histories_of(context), context.corpus)
        links, counts = co_occurrences(packed, len(context.corpus))
        return {**links.state(context.corpus.ids), "counts": counts}

    def build(self, parts: Parts) -> NextItemSearcher:
        """From what `learn` counted."""
        scores = LinkScores.of(parts.counted(self.memory), parts, self.items, self.decay, self.ties)
        return NextItemSearcher(parts.corpus, scores, exclude_history=self.exclude_history)


def _check_reading(items: int, decay: float, ties: str) -> None:
    if items < 0 or not 0 < decay <= 1:
        raise InputError(f"items={items} must not be negative, decay={decay} above 0 and at most 1")
    if ties not in TIES:
        raise InputError(f"ties={ties!r}; choose one of {', '.join(TIES)}")


@dataclass(frozen=True, eq=False)
class LinkScores:
    """Scores of all items by the links of the last ones."""

    links: ItemLinks
    counts: np.ndarray
    """(n,) int64 how often each item was taken."""

    items: int
    decay: float
    ties: str

    @classmethod
    def of(cls, state: State, parts: Parts, items: int, decay: float, ties: str) -> LinkScores:
        """From what a config learnt, for the corpus as it is now."""
        row_of = parts.corpus.row_of
        counts = counts_from_state(state, row_of)
        return cls(ItemLinks.from_state(state, row_of), counts, items, decay, ties)

    def __call__(self, histories: Sequence[np.ndarray]) -> ItemScores:
        """As `HistoryScores`: what no link leads to is not proposed."""
        n = len(self.counts)
        latest = [history[::-1][: self.items or None] for history in histories]
        # one number at a time: numpy's powers of whole arrays may differ from these in the last bit
        powers = np.array([self.decay**back for back in range(max(map(len, latest)))])
        weights = np.concatenate([powers[: len(rows)] for rows in latest])
        starts = np.concatenate([[0], np.cumsum([len(rows) for rows in latest])])
        read = csr_array((weights, np.concatenate(latest), starts), shape=(len(latest), n))
        matrix = csr_array((self.links.weights, self.links.targets, self.links.starts), shape=(n, n))
        ties = {
            "smallest_row": None,
            "first_touched": lambda at, rows: self._first_touched(latest[at], rows),
            "popularity": lambda at, rows: -self.counts[rows],
        }
        return ItemScores(csr_array(read @ matrix), ties[self.ties])

    def _first_touched(self, latest: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """(c,) when each of these items is first met, going through the links of the last item first."""
        starts, targets = self.links.starts, self.links.targets
        met = np.concatenate([targets[:0], *(targets[starts[item] : starts[item + 1]] for item in latest)])
        items, first = np.unique(met, return_index=True)
        place: np.ndarray = first[np.searchsorted(items, rows)]
        return place
