"""The objective of models that say all codes of the next item at once.

Knows a model's `states`, `log_probabilities` and `codes`, and a batch whose documents are the targets of
positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from retrograd.training.batches import Batch
from retrograd.training.objectives.next_item import asked_positions


@dataclass(frozen=True, kw_only=True)
class ParallelCodeLikelihood:
    """Mean cross-entropy of the next item's codes, at every position (Hou et al. 2025)."""

    def __call__(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """`{"codes": nats per code}`."""
        states, targets = asked_positions(model.states(batch.inputs), batch)
        logs = model.log_probabilities(states)
        right = zip(logs, model.codes[targets].T, strict=True)
        costs = [-log.gather(1, code.unsqueeze(1)).sum() / max(len(targets), 1) for log, code in right]
        return {"codes": torch.stack(costs).mean()}
