"""Objectives of models that write a key: likelihood of the key, alone or under two dropout masks.

They know a model's `logits(inputs, keys)` and a batch with `keys`; not where either comes from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from retrograd.errors import InputError
from retrograd.losses.consistency import symmetric_kl
from retrograd.losses.sequence import token_cross_entropy
from retrograd.training.batches import Batch


@dataclass(frozen=True, kw_only=True)
class SequenceLikelihood:
    """Teacher-forced negative log-likelihood of each row's key (Tay et al. 2022, section 3)."""

    label_smoothing: float = 0.0
    """Share of the target spread over the tokens that exist at a level."""

    def __post_init__(self) -> None:
        _check_smoothing(self.label_smoothing)

    def __call__(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """`{"likelihood": nats per key}`."""
        keys = _keys_of(batch)
        logits = model.logits(batch.inputs, keys)
        return {"likelihood": token_cross_entropy(logits, keys, label_smoothing=self.label_smoothing)}


@dataclass(frozen=True, kw_only=True)
class SequenceConsistency:
    """Likelihood under two dropout masks that must agree: R-drop (Liang et al. 2021, equation 4).

    `likelihood` is the mean over both passes, `consistency` is `weight / 2 * symmetric KL`
    averaged over the real tokens of the batch.
    """

    weight: float = 0.15
    """The paper's alpha."""

    label_smoothing: float = 0.0
    """As in `SequenceLikelihood`."""

    def __post_init__(self) -> None:
        _check_smoothing(self.label_smoothing)
        if self.weight < 0:
            raise ValueError(f"weight={self.weight} must not be negative")

    def __call__(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """`{"likelihood": nats per key, "consistency": weighted nats per token}`."""
        keys = _keys_of(batch)
        twice = {name: torch.cat([tensor, tensor]) for name, tensor in batch.inputs.items()}
        logits = model.logits(twice, keys.repeat(2, 1))
        one, two = logits.chunk(2)
        likelihood = token_cross_entropy(logits, keys.repeat(2, 1), label_smoothing=self.label_smoothing)
        disagreement = symmetric_kl(one, two, where=keys >= 0)
        return {"likelihood": likelihood, "consistency": self.weight / 2 * disagreement}


def _keys_of(batch: Batch) -> Tensor:
    if batch.keys is None:
        raise InputError("this objective learns keys, but the recipe has no docids; choose a docid scheme")
    return batch.keys


def _check_smoothing(label_smoothing: float) -> None:
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing={label_smoothing} must be in [0, 1)")
