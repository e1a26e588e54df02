"""The objective of models that say after every item, level by level, which branch holds the next.

Knows a model's `states` and `choices`, and a batch whose documents are the targets of positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from retrograd.losses.many_classes import sibling_cross_entropy
from retrograd.training.batches import Batch
from retrograd.training.objectives.next_item import asked_positions


@dataclass(frozen=True, kw_only=True)
class IdTreeLikelihood:
    """Cross-entropy of the next item's id, one softmax among siblings per level, at every position."""

    def __call__(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """`{"level_1": nats per position, ...}`; their sum is minus the log-probability of the item."""
        states, targets = asked_positions(model.states(batch.inputs), batch)
        count = max(len(targets), 1)
        return {
            f"level_{level}": sibling_cross_entropy(*choice) * (len(choice.targets) / count)
            for level, choice in enumerate(model.choices(states, targets), 1)
        }
