"""Policies: small networks that decide how a search goes on, from features that the caller gives.

How to expand a query, which parts to open, when to stop and what to rerank. Where all outcomes can be had,
expectations are exact; where they cannot, draws come with log-probabilities for `losses.policy.reinforce`.
Knows features, probabilities and costs; neither queries nor what a decision does.
Shapes: ... episodes, F features, A actions, C parts, T steps, K entries, S draws.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from retrograd.losses.listwise import mean_over_lists
from retrograd.losses.policy import (
    expected_stopping_cost,
    plackett_luce_log_probability,
    stop_distribution,
)
from retrograd.losses.routing import expected_cost
from retrograd.ops.gumbel import gumbel_noise, sample_topk
from retrograd.ops.labels import Label
from retrograd.ops.masks import cleared, log_softmax, masked
from retrograd.ops.select import select
from retrograd.ops.temperature import Temperature

LABELS = {
    "expected_cost": Label.EXACT,
    "imitation": Label.EXACT,
    "sample": Label.CONSISTENT,
    "weights": Label.BIASED,
}
"""Method -> its gradient: of a sum over all outcomes; unbiased through `reinforce`; of a relaxed choice."""


class Draws(NamedTuple):
    """Independent draws of decisions."""

    actions: Tensor
    """(..., S) int64, or (..., S, *) where one decision is several numbers."""

    log_probability: Tensor
    """(..., S) of each draw, with gradient."""


class ExpandPolicy(nn.Module):
    """One of a few ways to go on: a strategy of expansion, a depth, a width.

    Args:
        features: F, of an episode.
        actions: A.
        hidden: inner width; 0 makes it one linear map. An untrained one takes all actions alike.
    """

    def __init__(self, features: int, actions: int, *, hidden: int = 0) -> None:
        super().__init__()
        self.head = _head(features, actions, hidden)

    def forward(self, features: Tensor, *, where: Tensor | None = None) -> Tensor:
        """(..., F) features -> (..., A) log-probabilities; `where` (..., A) bool, False for what is illegal,
        whose log-probability is so low that its probability is 0."""
        return log_softmax(self.head(features), where)

    def expected_cost(self, features: Tensor, costs: Tensor, *, where: Tensor | None = None) -> Tensor:
        """() mean over episodes of `sum_a p_a cost_a`: exact, the cost (..., A) of every legal one known."""
        chances = cleared(self(features, where=where).exp(), where)
        totals = (chances * (costs if where is None else costs.masked_fill(~where, 0.0))).sum(-1)
        counted = torch.ones_like(totals, dtype=torch.bool) if where is None else where.any(-1)
        return mean_over_lists(totals, counted)

    def sample(
        self,
        features: Tensor,
        draws: int,
        *,
        where: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Draws:
        """Actions (..., S), each drawn on its own."""
        return _drawn(self(features, where=where), draws, where, generator)


class ProbePolicy(nn.Module):
    """Which parts (shards, indexes, tools) to open: a chance for each, independent of the others.

    Args:
        features: F, of a part in an episode.
        hidden: inner width; 0 makes it one linear map.
        initial: chance with which an untrained one opens a part.
    """

    def __init__(self, features: int, *, hidden: int = 0, initial: float = 0.5) -> None:
        super().__init__()
        self.head = _head(features, 1, hidden, initial)

    def forward(self, features: Tensor) -> Tensor:
        """(..., C, F) features -> (..., C) logits of opening each part."""
        logits: Tensor = self.head(features).squeeze(-1)
        return logits

    def expected_cost(self, features: Tensor, **ingredients: Tensor) -> dict[str, Tensor]:
        """(...) each cost whose ingredients are given, exactly; see `losses.routing.expected_cost`."""
        return expected_cost(self(features).sigmoid(), **ingredients)

    def sample(self, features: Tensor, draws: int, *, generator: torch.Generator | None = None) -> Draws:
        """Sets of parts (..., S, C) bool, each drawn on its own."""
        logits = self(features).unsqueeze(-2)
        wide = logits.expand(*logits.shape[:-2], draws, logits.shape[-1])
        chances = wide.detach().sigmoid()
        opened = torch.rand(wide.shape, dtype=wide.dtype, device=wide.device, generator=generator) < chances
        chosen = torch.where(opened, F.logsigmoid(wide), F.logsigmoid(-wide))
        return Draws(opened, chosen.sum(-1))


class StoppingPolicy(nn.Module):
    """When a search has found enough.

    It stops at step t with probability `h_t prod_{s<t} (1 - h_s)`, and at the last step in any case (Banino
    et al. 2021, "PonderNet", arXiv:2107.05407, equation 3).

    Args:
        features: F, of a step.
        hidden: inner width; 0 makes it one linear map.
        initial: chance with which an untrained one stops at a step. A large one may never learn to go on.

    >>> policy = StoppingPolicy(2, initial=0.5)
    >>> policy.distribution(torch.zeros(3, 2)).detach()
    tensor([0.5000, 0.2500, 0.2500])
    """

    def __init__(self, features: int, *, hidden: int = 0, initial: float = 0.1) -> None:
        super().__init__()
        self.head = _head(features, 1, hidden, initial)

    def forward(self, features: Tensor) -> Tensor:
        """(..., F) features -> (...) logits of stopping at a step one has come to: a `stop` for `Hop`."""
        logits: Tensor = self.head(features).squeeze(-1)
        return logits

    def distribution(self, features: Tensor, *, where: Tensor | None = None) -> Tensor:
        """(..., T, F) features -> (..., T) chances of stopping at each step; `where` (..., T) as there."""
        return stop_distribution(self(features), where=where)

    def expected_cost(
        self,
        features: Tensor,
        losses: Tensor,
        *,
        cost_per_step: float | Tensor = 0.0,
        where: Tensor | None = None,
    ) -> Tensor:
        """() mean over episodes of `sum_t p_t (loss_t + cost * t)`: exact, with every step's loss known.

        Args:
            features: (..., T, F) of each step.
            losses: (..., T) of an answer at each step.
            cost_per_step, where: as in `losses.policy.expected_stopping_cost`.
        """
        stops = self.distribution(features, where=where)
        return expected_stopping_cost(stops, losses, cost_per_step=cost_per_step, where=where)

    def imitation(
        self,
        features: Tensor,
        losses: Tensor,
        *,
        cost_per_step: float | Tensor = 0.0,
        where: Tensor | None = None,
    ) -> Tensor:
        """() mean of `-log p` of the step that was cheapest in hindsight: where to start from before the
        expected cost is trained. Arguments as `expected_cost`."""
        steps = torch.arange(1, losses.shape[-1] + 1, dtype=losses.dtype, device=losses.device)
        costs = losses + cost_per_step * steps
        where = torch.ones_like(costs, dtype=torch.bool) if where is None else where
        cheapest = costs.masked_fill(~where, torch.inf).argmin(-1, keepdim=True)
        logits = self(features)
        last = cheapest == where.sum(-1, keepdim=True) - 1
        before = torch.arange(costs.shape[-1], device=costs.device) < cheapest
        going = F.logsigmoid(-logits).masked_fill(~before, 0.0).sum(-1)
        stopping = F.logsigmoid(logits.gather(-1, cheapest)).masked_fill(last, 0.0).squeeze(-1)
        return mean_over_lists(-going - stopping, where.any(-1))

    def sample(
        self,
        features: Tensor,
        draws: int,
        *,
        where: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Draws:
        """Steps (..., S) from 0 at which one stops, each drawn on its own."""
        stops = self.distribution(features, where=where)
        return _drawn(stops.clamp(min=torch.finfo(stops.dtype).tiny).log(), draws, where, generator)


class RerankPolicy(nn.Module):
    """Which entries are worth an expensive look, under a budget.

    Args:
        features: F, of an entry.
        hidden: inner width; 0 makes it one linear map. An untrained one holds all entries alike.
    """

    def __init__(self, features: int, *, hidden: int = 0) -> None:
        super().__init__()
        self.head = _head(features, 1, hidden)

    def forward(self, features: Tensor) -> Tensor:
        """(..., K, F) features -> (..., K) priorities."""
        priorities: Tensor = self.head(features).squeeze(-1)
        return priorities

    def weights(
        self,
        features: Tensor,
        budget: int,
        *,
        how: str = "soft_topk",
        temperature: float | Tensor | Temperature = 1.0,
        where: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """(..., K) weights in [0, 1] that add up to the budget: relaxed, by a way of `ops.select`."""
        return select(
            self(features), how=how, temperature=temperature, k=budget, where=where, generator=generator
        )

    def sample(
        self,
        features: Tensor,
        draws: int,
        budget: int,
        *,
        where: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Draws:
        """Orders (..., S, budget) of different entries, the first looked at first (Plackett 1975).

        A row of fewer entries than the budget names padding at its end, which counts for nothing.
        """
        priorities = self(features).unsqueeze(-2)
        wide = priorities.expand(*priorities.shape[:-2], draws, priorities.shape[-1])
        real = None if where is None else where.unsqueeze(-2).expand(wide.shape)
        order = sample_topk(wide, min(budget, wide.shape[-1]), where=real, generator=generator)
        return Draws(order, plackett_luce_log_probability(wide, order, where=real))


def _head(features: int, outputs: int, hidden: int, initial: float = 0.5) -> nn.Sequential:
    """A network that starts at the same logit for all features: that of `initial`."""
    if not 0 < initial < 1:
        raise ValueError(f"initial={initial} must lie between 0 and 1")
    inner = [nn.Linear(features, hidden), nn.GELU()] if hidden else []
    last = nn.Linear(hidden or features, outputs)
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias, math.log(initial) - math.log1p(-initial))
    return nn.Sequential(*inner, last)


def _drawn(
    log_probability: Tensor, draws: int, where: Tensor | None, generator: torch.Generator | None
) -> Draws:
    """S independent draws from log-probabilities (..., A)."""
    log_probability = masked(log_probability, where)
    wide = log_probability.unsqueeze(-2).expand(*log_probability.shape[:-1], draws, log_probability.shape[-1])
    actions = (wide.detach() + gumbel_noise(wide, generator=generator)).argmax(-1)
    return Draws(actions, log_probability.gather(-1, actions))
