"""Next items by a network that reads the whole history in order.

Joins a model that gives a state per history to vectors of all items; exclusion and order of the answers are
`next_item`'s. Items are matched by id, so that a model still serves when items have come or gone.
Shapes: q histories, n items of the corpus, d width.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retrograd.artifacts import array_to_text, from_json, text_to_array
from retrograd.data.examples import ExampleContext
from retrograd.data.sequences import pack
from retrograd.search.learning import histories_of
from retrograd.search.next_item import UNPROPOSED, ItemScores, NextItemSearcher
from retrograd.search.parts import Parts
from retrograd.types import State


@dataclass(frozen=True, kw_only=True)
class SequenceModelScores:
    """Inner product of an item's vector with the model's state after the last item taken.

    Items that joined later have a vector where the model reads text. Otherwise they are never an answer, and
    are passed over in histories.
    """

    exclude_history: bool = True
    """Never answer with what the asker took before."""

    reads_history: ClassVar[bool] = True
    reads_text: ClassVar[bool] = False
    memory: ClassVar[str] = "items_of_the_model"

    def learn(self, context: ExampleContext) -> State:
        """Which item each row of the model's table stands for."""
        histories_of(context)
        return {"items": text_to_array(json.dumps(list(context.corpus.ids)))}

    def build(self, parts: Parts) -> NextItemSearcher:
        """Gather the vectors of the items there are now."""
        known = from_json(array_to_text(parts.counted(self.memory)["items"]))
        vectors, has_vector = _item_vectors(parts, known)
        scores = StateScores(parts.model, vectors, has_vector)
        return NextItemSearcher(parts.corpus, scores, exclude_history=self.exclude_history)


def _item_vectors(parts: Parts, known: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(n, d) float32 in rows of the corpus, and (n,) bool, False for items that have none."""
    own, row_of = parts.model.all_item_vectors(), parts.corpus.row_of
    rows = np.array([row_of.get(item, -1) for item in known], np.int64)
    vectors = np.zeros((len(parts.corpus), own.shape[1]), np.float32)
    vectors[rows[rows >= 0]] = own[rows >= 0]
    has_vector = np.zeros(len(parts.corpus), bool)
    has_vector[rows[rows >= 0]] = True
    later = np.flatnonzero(~has_vector)
    if parts.model.reads_text and len(later):
        vectors[later] = parts.model.vectors_of_texts([parts.corpus[row].contents for row in later.tolist()])
        has_vector[later] = True
    return vectors, has_vector


@dataclass(frozen=True, eq=False)
class StateScores:
    """Scores of all items by the state of a model."""

    model: Any
    """See `models.sequential`."""

    vectors: np.ndarray
    """(n, d) float32."""

    has_vector: np.ndarray
    """(n,) bool."""

    def __call__(self, histories: Sequence[np.ndarray]) -> ItemScores:
        """As `HistoryScores`: nothing is proposed where no item of a history has a vector."""
        length = self.model.length
        read = [history[self.has_vector[history]][-length:] for history in histories]
        asked = [at for at, history in enumerate(read) if len(history)]
        scores = np.full((len(histories), len(self.vectors)), UNPROPOSED, np.float32)
        if asked:
            states = self.model.last_states(pack([read[at] for at in asked], length), self.vectors)
            scores[asked] = states @ self.vectors.T
            scores[:, ~self.has_vector] = UNPROPOSED
        return ItemScores(scores, logits=True)
