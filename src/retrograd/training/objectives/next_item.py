"""Objectives of models that say after every item which comes next.

They know a model's `states`, `item_vectors` and `count`, or its `level_logits` and what these are made of,
and a batch whose documents are the targets of positions; not how the model reads a history.
Shapes: B rows of a batch, w positions of a row, P positions that have a target, K negatives, n items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from retrograd.errors import InputError
from retrograd.losses.contrastive import drawn_log_weight, infonce
from retrograd.losses.many_classes import inner_product_cross_entropy
from retrograd.training.batches import Batch


@dataclass(frozen=True, kw_only=True)
class NextItemLikelihood:
    """Softmax cross-entropy over all items, at every position (Klenitskiy and Vasilev 2023, section 4)."""

    def __call__(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """`{"next_item": nats per position}`."""
        vectors = model.item_vectors()
        states, targets = asked_positions(model.states(batch.inputs, vectors), batch)
        return {"next_item": inner_product_cross_entropy(states, vectors, targets)}


@dataclass(frozen=True, kw_only=True)
class SampledNextItem:
    """The same with few negatives, drawn once for all positions of a batch, each standing for the items
    that were not drawn (Bengio and Senecal 2008; Yi et al. 2019, section 3).

    Summed exponentials are unbiased for those over all items. A negative that is a position's own target
    does not count there.
    """

    negatives: int = 256
    """K, drawn with replacement."""

    power: float = 0.0
    """Items are drawn in proportion to `(times taken + 1) ** power`: at 0 all alike, at 1 by popularity."""

    corrected: bool = True
    """False: negatives count as they come and stand only for themselves."""

    def __post_init__(self) -> None:
        if self.negatives < 1 or not 0 <= self.power <= 1:
            raise InputError(
                f"negatives={self.negatives} must be at least 1 and power={self.power} in [0, 1]"
            )

    def __call__(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """`{"next_item": nats per position, among the drawn}`."""
        states, targets = asked_positions(model.states(batch.inputs), batch)
        chances = self.chances(model.count, batch).to(states.device)
        drawn = torch.multinomial(chances, self.negatives, replacement=True)
        scores = torch.cat(
            [
                (states * model.item_vectors(targets)).sum(dim=1, keepdim=True),
                states @ model.item_vectors(drawn).T,
            ],
            dim=1,
        )
        weight = drawn_log_weight(chances[drawn], self.negatives)
        own = torch.cat([targets.unsqueeze(1), drawn.expand(len(targets), -1)], dim=1)
        loss = infonce(
            scores,
            torch.zeros_like(targets),
            log_weight=torch.cat([weight.new_zeros(1), weight]) if self.corrected else None,
            where=own != targets.unsqueeze(1),
        )
        return {"next_item": loss}

    def chances(self, count: int, batch: Batch) -> Tensor:
        """(n,) float, of drawing each item at once."""
        taken = torch.zeros(count) if batch.frequencies is None else batch.frequencies
        weights = (taken + 1.0) ** self.power
        return weights / weights.sum()


@dataclass(frozen=True, kw_only=True)
class NextCodeLikelihood:
    """Softmax cross-entropy of every token of every target's key (Rajput et al. 2023, section 3.2), after all
    beginnings of a history in one pass."""

    temperature: float = 1.0
    """Scores are divided by it here and not when they are searched. Below 1, wrong tokens that score high
    weigh more (Wang et al. 2024, arXiv:2405.07314, ranking-guided generation, where it is fixed too)."""

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise InputError(f"temperature={self.temperature} must be positive")

    def __call__(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """`{"level_1": nats per position, ...}`; their sum is the cost of a key at that temperature."""
        _check_positions(batch)
        logits, tokens = model.level_logits(batch.inputs, batch.documents)
        return _costs(logits, tokens, self.temperature)


@dataclass(frozen=True, kw_only=True)
class NextCodesAndVector:
    """The same, and beside it the softmax over the vectors of all items that are somebody's target (Yang et
    al. 2024, arXiv:2411.18814): an item that nobody took is no wrong answer."""

    weight: float = 1.0
    """Of the second part."""

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise InputError(f"weight={self.weight} must be positive; NextCodeLikelihood has no second part")

    def __call__(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """`{"level_1": nats per position, ..., "vector": weight * nats per position}`."""
        _check_positions(batch)
        states, tokens = model.states_before(batch.inputs, batch.documents)
        targets = batch.documents[batch.documents >= 0]
        rows, among = _candidates(model, batch, targets)
        vectors, after = model.item_vectors(model.texts[rows]), F.normalize(states[:, 0], dim=1)
        ranked = self.weight * inner_product_cross_entropy(after, vectors, among)
        return {**_costs(model.logits_of(states), tokens, 1.0), "vector": ranked}


def _candidates(model: Any, batch: Batch, targets: Tensor) -> tuple[Tensor, Tensor]:
    """(m,) rows of the items that are targets in the stage, and (P,) which of them each target is."""
    wanted = torch.ones(len(model.texts), dtype=torch.bool, device=targets.device)
    if batch.frequencies is not None:
        wanted = (batch.frequencies > 0).to(targets.device)
    return wanted.nonzero().squeeze(1), (wanted.cumsum(0) - 1)[targets]


def _costs(logits: Sequence[Tensor], tokens: Tensor, temperature: float) -> dict[str, Tensor]:
    """Nats per position of each level: per level (P, V) scores, and (P, L) the tokens that are right."""
    count = max(len(tokens), 1)
    return {
        f"level_{level}": F.cross_entropy(scores.float() / temperature, right, reduction="sum") / count
        for level, (scores, right) in enumerate(zip(logits, tokens.unbind(dim=1), strict=True), 1)
    }


def _check_positions(batch: Batch) -> None:
    if batch.documents.dim() < 2:
        raise InputError(_NO_POSITIONS)


_NO_POSITIONS = (
    "this objective learns a target at every position; give the stage packed histories "
    "(`EveryPrefix`) as examples"
)


def asked_positions(states: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """(P, d) states and (P,) targets of the positions that have one.

    Raises:
        InputError: the batch has one target a row.
    """
    if batch.documents.shape != states.shape[:2]:
        raise InputError(_NO_POSITIONS)
    where = batch.documents >= 0
    return states[where], batch.documents[where]
