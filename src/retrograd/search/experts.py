"""Next items by several opinions at once: shares of all items, multiplied.

What a network learnt and what was counted err in different places. Knows searchers of `next_item` only.
Shapes: q histories, n items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_array

from retrograd.errors import InputError
from retrograd.search.next_item import UNPROPOSED, HistoryScores, ItemScores, NextItemSearcher
from retrograd.search.parts import Parts


@dataclass(frozen=True, kw_only=True)
class ProductOfExperts:
    """`score(j | h) = sum over experts of weight * log share(j | h)` (Hinton 2002, equation 1).

    The share of a network is its softmax over all items; that of a counter is its count over the sum of its
    counts, plus `floor`, so that what was never counted is not ruled out. An expert that has nothing to say
    about a history is passed over; an item that none proposes is no answer.
    """

    experts: tuple[Any, ...]
    """Search configs of next items."""

    weights: tuple[float, ...] = ()
    """One per expert; () weighs all alike."""

    floor: float = 1e-3
    """Of a count, as a share. The smaller, the more an item that was never counted has to make up for."""

    exclude_history: bool = True
    """Never answer with what the asker took before."""

    reads_history: ClassVar[bool] = True
    reads_text: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.experts or len(self.weights) not in (0, len(self.experts)):
            raise InputError(
                f"{len(self.weights)} weights for {len(self.experts)} experts; give one each or none"
            )
        if not self.floor > 0:
            raise InputError(f"floor={self.floor} must be positive")

    def build(self, parts: Parts) -> NextItemSearcher:
        """Build every expert on the same fitted pieces.

        Raises:
            InputError: one of them does not score items for histories.
        """
        experts = []
        for config in self.experts:
            searcher = config.build(parts)
            if not isinstance(searcher, NextItemSearcher):
                raise InputError(f"{type(config).__name__} does not score all items for a history")
            experts.append(searcher.scores)
        weights = self.weights or (1.0,) * len(experts)
        return NextItemSearcher(
            parts.corpus,
            ExpertScores(tuple(experts), weights, self.floor),
            exclude_history=self.exclude_history,
        )


@dataclass(frozen=True, eq=False)
class ExpertScores:
    """Scores of all items by several `HistoryScores`. Implements the same."""

    experts: tuple[HistoryScores, ...]
    weights: tuple[float, ...]
    floor: float

    def __call__(self, histories: Sequence[np.ndarray]) -> ItemScores:
        """As `HistoryScores`."""
        total, proposed = np.zeros(()), np.zeros((), bool)
        for expert, weight in zip(self.experts, self.weights, strict=True):
            logs, found = log_shares(expert(histories), self.floor)
            total, proposed = total + weight * logs, proposed | found
        return ItemScores(np.where(proposed, total, UNPROPOSED), logits=True)


def log_shares(said: ItemScores, floor: float) -> tuple[np.ndarray, np.ndarray]:
    """(q, n) float64 logarithms of shares, and (q, n) bool, False where an item is no answer.

    Counts below 0 count as none. Of logits, what is no answer gets the log share of the last that is one.
    A line without any answer is 0 throughout.

    >>> log_shares(ItemScores(np.array([[3.0, 1.0, 0.0]])), 0.5)[0].round(2).tolist()
    [[0.22, -0.29, -0.69]]
    """
    scores = said.scores.toarray() if isinstance(said.scores, csr_array) else np.asarray(said.scores)
    scores = scores.astype(np.float64)
    if not said.logits:
        counts = np.maximum(scores, 0.0)
        sums = counts.sum(axis=1, keepdims=True)
        shares = np.divide(counts, sums, out=np.zeros_like(counts), where=sums > 0)
        return np.where(sums > 0, np.log(shares + floor), 0.0), counts > 0
    proposed = scores > UNPROPOSED
    some = proposed.any(axis=1, keepdims=True)
    highest = np.where(some, scores.max(axis=1, keepdims=True), 0.0)
    lowest = scores.min(axis=1, keepdims=True, where=proposed, initial=np.inf)
    filled = np.where(proposed, scores, lowest)
    total = np.exp(scores - highest).sum(axis=1, keepdims=True, where=proposed)
    logs = np.zeros_like(scores)
    np.subtract(filled - highest, np.log(np.where(some, total, 1.0)), out=logs, where=some)
    return logs, proposed
