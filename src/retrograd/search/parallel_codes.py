"""Next items by a network that says all their codes at once: every item scored by sums of look-ups.

Exclusion and order of the answers are `next_item`'s. Items are known by their codes in the docid table, so
those that came later are read and answered like any other. Items of equal codes score alike.
Shapes: q histories, n items of the corpus, m codes of an item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retrograd.data.sequences import pack
from retrograd.errors import InputError
from retrograd.models.parallel_codes import codes_of_items
from retrograd.search.next_item import UNPROPOSED, ItemScores, NextItemSearcher
from retrograd.search.parts import Parts

_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class ParallelCodeScores:
    """Sum of the log-probabilities of an item's codes."""

    exclude_history: bool = True
    """Never answer with what the asker took before."""

    reads_history: ClassVar[bool] = True
    reads_text: ClassVar[bool] = False

    def build(self, parts: Parts) -> NextItemSearcher:
        """Read the codes of the items there are now.

        Raises:
            InputError: the system has no model of parallel codes, or an item has no docid.
        """
        if parts.table is None or not hasattr(parts.model, "mean_log_probability"):
            raise InputError(
                "this search needs a model of parallel codes; give the recipe a ParallelCodeTransformer"
            )
        codes = codes_of_items(parts.table)
        scores = CodeSums(parts.model, codes, parts.model.vectors_of_all(codes))
        return NextItemSearcher(parts.corpus, scores, exclude_history=self.exclude_history)


@dataclass(frozen=True, eq=False)
class CodeSums:
    """Scores of all items by their codes. Implements `HistoryScores`."""

    model: Any
    """See `models.parallel_codes`."""

    codes: np.ndarray
    """(n, m) int64."""

    vectors: np.ndarray
    """(n, d) float32 that embed items in histories."""

    def __call__(self, histories: Sequence[np.ndarray]) -> ItemScores:
        """As `HistoryScores`: nothing is proposed for an empty history."""
        length = self.model.length
        asked = [at for at, history in enumerate(histories) if len(history)]
        scores = np.full((len(histories), len(self.codes)), UNPROPOSED, np.float32)
        for start in range(0, len(asked), _AT_ONCE):
            some = asked[start : start + _AT_ONCE]
            states = self.model.last_states(
                pack([histories[at][-length:] for at in some], length), self.vectors
            )
            scores[some] = self.model.mean_log_probability(states, self.codes) * self.codes.shape[1]
        return ItemScores(scores, logits=True)
