"""What a policy that draws its decisions learns from: scores of draws, and exact expectations over stops.

Knows log-probabilities, rewards and scores; neither states nor what is decided.
Shapes: ... episodes, S draws, T steps, n things to choose from, k chosen.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from retrograd.ops.masks import log_total, masked

BASELINES = ("leave_one_out", "none")
"""`leave_one_out`: the mean reward of an episode's other draws (Kool et al. 2019); `none`: 0."""


def reinforce(
    log_probability: Tensor,
    reward: Tensor,
    *,
    baseline: str = "leave_one_out",
    where: Tensor | None = None,
) -> Tensor:
    """`-(reward - baseline) * log p(draw)`: a loss whose gradient is unbiased for minus the mean reward.

    Williams 1992, with the baseline of Kool et al. 2019 ("Buy 4 REINFORCE samples, get a baseline for
    free!"). Its value means nothing; only its gradient does.

    Args:
        log_probability: (..., S) float, of independent draws of one episode.
        reward: (..., S) float; larger is better; gets no gradient.
        baseline: one of `BASELINES`; an episode with one draw has no other, and uses 0.
        where: (..., S) bool, False for draws that were not made.

    Returns: () mean over draws; 0 where there is none, never NaN.

    >>> reinforce(torch.tensor([-1.0, -2.0]), torch.tensor([1.0, 0.0]))
    tensor(-0.5000)
    """
    if baseline not in BASELINES:
        raise ValueError(f"baseline={baseline!r}; choose one of {', '.join(BASELINES)}")
    where = torch.ones_like(reward, dtype=torch.bool) if where is None else where
    reward, log_probability = (x.masked_fill(~where, 0.0) for x in (reward.detach(), log_probability))
    if baseline == "leave_one_out":
        others = where.sum(-1, keepdim=True) - 1
        reward = reward - (reward.sum(-1, keepdim=True) - reward) / others.clamp(min=1) * (others > 0)
    return -(reward * log_probability * where).sum() / where.sum().clamp(min=1)


def stop_distribution(logits: Tensor, *, where: Tensor | None = None) -> Tensor:
    """`p_t = h_t * prod_{s < t} (1 - h_s)` with `h = sigmoid(logit)`; the last step stops in any case.

    Banino et al. 2021 ("PonderNet", arXiv:2107.05407), equation 3, with the remainder on the last step.

    Args:
        logits: (..., T) float, of stopping at a step one has come to; that of the last step is not looked at.
        where: (..., T) bool, False for steps after the end; True must come first.

    Returns: (..., T) adding up to 1; 0 after the end and in rows without steps.

    >>> stop_distribution(torch.zeros(3))
    tensor([0.5000, 0.2500, 0.2500])
    """
    where = torch.ones_like(logits, dtype=torch.bool) if where is None else where
    logits = logits.masked_fill(~where, 0.0)
    going = F.logsigmoid(-logits)
    before = going.cumsum(-1) - going
    last = where & ~F.pad(where[..., 1:], (0, 1), value=False)
    stopping = F.logsigmoid(logits).masked_fill(last, 0.0)
    return (before + stopping).exp().masked_fill(~where, 0.0)


def expected_stopping_cost(
    stops: Tensor, losses: Tensor, *, cost_per_step: float | Tensor = 0.0, where: Tensor | None = None
) -> Tensor:
    """`sum_t p_t (loss_t + cost * t)`, t from 1: exact, so nothing needs to be drawn.

    Args:
        stops: (..., T) float, as `stop_distribution` gives.
        losses: (..., T) float, what an answer at each step would lose.
        cost_per_step: in the units of the losses; a tensor broadcasts to `stops`.
        where: (..., T) bool, False for steps after the end, whose losses are never looked at.

    Returns: () mean over rows with a step; 0 where there is none.

    >>> expected_stopping_cost(torch.tensor([0.5, 0.5]), torch.tensor([4.0, 0.0]), cost_per_step=1.0)
    tensor(3.5000)
    """
    where = torch.ones_like(stops, dtype=torch.bool) if where is None else where
    steps = torch.arange(1, stops.shape[-1] + 1, dtype=stops.dtype, device=stops.device)
    costs = (losses + cost_per_step * steps).masked_fill(~where, 0.0)
    return (stops.masked_fill(~where, 0.0) * costs).sum() / where.any(-1).sum().clamp(min=1)


def plackett_luce_log_probability(scores: Tensor, order: Tensor, *, where: Tensor | None = None) -> Tensor:
    """`sum_i (s_{o_i} - log sum over what is left of exp s)`: k draws without replacement, in this order.

    Plackett 1975; over all ordered choices of k it adds up to 1.

    Args:
        scores: (..., n) float, unnormalised log-probabilities.
        order: (..., k) int64, different positions, first drawn first. A padded position counts for nothing.
        where: (..., n) bool, False for padding, which is never drawn.

    Returns: (...) in nats, at most 0; 0 for no draw.

    >>> plackett_luce_log_probability(torch.zeros(3), torch.tensor([2, 0])).exp()
    tensor(0.1667)
    """
    scores = masked(scores, where)
    real = torch.ones_like(order, dtype=torch.bool) if where is None else where.gather(-1, order)
    chosen = scores.gather(-1, order)
    left = torch.ones_like(scores, dtype=torch.bool).scatter(-1, order, False)
    rest = log_total(scores, left).unsqueeze(-1)
    behind_first = torch.cat([rest, chosen.flip(-1)], -1).logcumsumexp(-1)[..., 1:].flip(-1)
    return (chosen - behind_first).masked_fill(~real, 0.0).sum(-1)
