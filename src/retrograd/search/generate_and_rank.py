"""Next items found by their keys and ranked by vectors: a beam and all items that nobody took, one order.

A network that writes keys hardly ever writes one that it never learnt from. So items without interactions
are candidates beside what the beam finds, and the second head of the network puts all of them in order (Yang
et al. 2024, arXiv:2411.18814). Which items those are was counted when the system was fitted; whatever came
later is one.
Shapes: q histories, n items of the corpus, e dimensions of a text's vector, d width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retrograd.artifacts import array_to_text, from_json
from retrograd.data.examples import ExampleContext
from retrograd.errors import InputError
from retrograd.search.code_sequences import CodeSequenceScores, KeyScores
from retrograd.search.counting import Popular
from retrograd.search.item_memory import counts_from_state
from retrograd.search.next_item import UNPROPOSED, ItemScores, NextItemSearcher
from retrograd.search.parts import Parts
from retrograd.types import State


@dataclass(frozen=True, kw_only=True)
class GenerateAndRank:
    """Cosine of an item's text and the state after a history, over the model's temperature."""

    width: int = 20
    """Beams, as in `CodeSequenceScores`. 0 ranks every item of the catalogue by its vector."""

    adds_untaken: bool = True
    """False: only what the beam finds is an answer."""

    exclude_history: bool = True
    """Never answer with what the asker took before."""

    batch_size: int = 16
    """Histories of one length read together; changes speed, not answers."""

    reads_history: ClassVar[bool] = True
    reads_text: ClassVar[bool] = False
    memory: ClassVar[str] = Popular.memory

    def __post_init__(self) -> None:
        if self.width < 0 or self.batch_size < 1:
            raise InputError(
                f"width={self.width} must not be negative, and batch_size={self.batch_size} at least 1"
            )

    def learn(self, context: ExampleContext) -> State:
        """How often each item was taken."""
        return Popular().learn(context)

    def build(self, parts: Parts) -> NextItemSearcher:
        """Gather texts and vectors of the items there are now.

        Raises:
            InputError: the system has no model of codes and texts, or items without keys.
        """
        if (
            parts.table is None
            or not hasattr(parts.model, "item_vectors")
            or not hasattr(parts.model, "texts")
        ):
            raise InputError(
                "this search needs a model of codes and texts, and docids; give the recipe a "
                "TextCodeTransformer"
            )
        taken = parts.counted(self.memory)
        texts = _texts(parts, from_json(array_to_text(taken["items"])))
        beam = CodeSequenceScores(width=self.width, batch_size=self.batch_size)
        scores = RankedCandidates(
            keys=KeyScores(beam, parts.model, parts.table, texts),
            vectors=parts.model.all_item_vectors(texts),
            always=counts_from_state(taken, parts.corpus.row_of) == 0
            if self.adds_untaken
            else np.zeros(len(texts), bool),
        )
        return NextItemSearcher(parts.corpus, scores, exclude_history=self.exclude_history)


def _texts(parts: Parts, known: Sequence[str]) -> np.ndarray:
    """(n, e) float32 of what the items say, in rows of the corpus; those that training named are kept."""
    row_of, own = parts.corpus.row_of, parts.model.texts.cpu().numpy()
    rows = np.array([row_of.get(item, -1) for item in known], np.int64)
    texts = np.zeros((len(parts.corpus), own.shape[1]), np.float32)
    texts[rows[rows >= 0]] = own[rows >= 0]
    later = np.setdiff1d(np.arange(len(texts)), rows)
    if len(later):
        texts[later] = parts.model.vectors_of_texts([parts.corpus[row].contents for row in later.tolist()])
    return texts


@dataclass(frozen=True, eq=False)
class RankedCandidates:
    """Scores of the candidates of each history. Implements `HistoryScores`."""

    keys: KeyScores
    vectors: np.ndarray
    """(n, d) float32, what states are compared with."""

    always: np.ndarray
    """(n,) bool, items that are candidates whatever the beam finds."""

    def __call__(self, histories: Sequence[np.ndarray]) -> ItemScores:
        """As `HistoryScores`: nothing is proposed for an empty history."""
        asked = np.array([len(history) > 0 for history in histories], bool)
        proposed = np.broadcast_to(asked[:, None], (len(histories), len(self.vectors)))
        if self.keys.config.width:
            found: Any = self.keys(histories).scores
            proposed = ((found > UNPROPOSED) | self.always) & proposed
        scores = self.keys.states(histories) @ self.vectors.T
        return ItemScores(np.where(proposed, scores, UNPROPOSED), logits=True)
