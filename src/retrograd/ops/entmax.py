"""Sparse relatives of softmax: weights that add up to 1, most of them exactly 0.

`entmax` with `alpha` 1 is softmax, 2 is sparsemax. 1.5 and 2 are exact, others found by bisection. Only
the largest entries matter: once one of the largest K has weight 0, so has everything below it, and the
weights over those K are the weights over all (`support_size` reports it). So no full sort is needed, and
whoever holds an exact top-K holds an exact sparsemax. Knows rows of numbers only.
Shapes: n entries of a row, R rows.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from retrograd.ops.fixed_sum import fixed_sum

_FIRST = 64
"""Entries that are sorted at first; eight times as many until one of them has weight 0."""


def sparsemax(logits: Tensor, *, where: Tensor | None = None) -> Tensor:
    """`max(x - t, 0)`, the point of the simplex nearest to `x`.

    Martins and Astudillo 2016 ("From Softmax to Sparsemax", arXiv:1602.02068), algorithm 1.
    Arguments and result as those of `entmax`.

    >>> sparsemax(torch.tensor([1.0, 0.5, -1.0]))
    tensor([0.7500, 0.2500, 0.0000])
    """
    return entmax(logits, alpha=2.0, where=where)


def entmax(logits: Tensor, *, alpha: float = 1.5, where: Tensor | None = None) -> Tensor:
    """`max((alpha - 1) x - t, 0)^(1 / (alpha - 1))` with the t for which the weights add up to 1.

    Peters et al. 2019 ("Sparse Sequence-to-Sequence Models", arXiv:1905.05702), equations 5 and 10, and
    algorithm 2 for `alpha` 1.5.

    Args:
        logits: (..., n) float32 or float64, already divided by the temperature; -inf has weight 0.
        alpha: at least 1; a larger one gives fewer entries a weight.
        where: (..., n) bool, False for entries that get weight 0 and no gradient.

    Returns: (..., n) at least 0; a row with no allowed entry is 0 throughout.

    Raises:
        ValueError: alpha is below 1.

    >>> entmax(torch.tensor([1.0, 0.0, -3.0]))
    tensor([0.8307, 0.1693, 0.0000])
    """
    if not alpha >= 1:
        raise ValueError(f"alpha={alpha} must be at least 1")
    if where is not None:
        logits = logits.masked_fill(~where, -torch.inf)
    if alpha == 1:
        return fixed_sum(logits, _softmax, lambda weights: weights)
    return fixed_sum(logits, lambda x: _weights(x, alpha), lambda weights: _rates(weights, alpha))


def support_size(weights: Tensor) -> Tensor:
    """(...) int64, how many weights of a row are above 0.

    Below the number of entries it certifies that entries smaller than all of these, were they added, would
    get weight 0 and change nothing: sparse weights over an exact top-K are then those over everything.
    """
    return (weights > 0).sum(-1)


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(-1).nan_to_num_(0.0)  # NaN stands in rows of -inf only


def _rates(weights: Tensor, alpha: float) -> Tensor:
    """`w^(2 - alpha)` on the support (Peters et al. 2019, proposition 2)."""
    inside = weights > 0
    if alpha == 2:
        return inside.to(weights.dtype)
    return weights.where(inside, 1.0).pow(2 - alpha) * inside


def _weights(logits: Tensor, alpha: float) -> Tensor:
    if not logits.numel():
        return torch.zeros_like(logits)
    most = logits.amax(-1, keepdim=True)
    most = most.masked_fill(most == -torch.inf, 0.0)
    # The threshold is at least the largest minus 1, so whatever is clamped has weight 0 anyway.
    scaled = ((alpha - 1) * (logits - most)).clamp_(min=-1.0)
    power = 1 / (alpha - 1)
    threshold = _threshold(scaled, _EXACT.get(alpha) or (lambda x: _bisected(x, power)))
    weights = (scaled - threshold).clamp_(min=0.0).pow_(power)
    return weights.masked_fill_(logits == -torch.inf, 0.0)


def _threshold(scaled: Tensor, solve: Callable[[Tensor], Tensor]) -> Tensor:
    """The threshold of all entries from that of the largest, as many as it takes."""
    kept, n = min(_FIRST, scaled.shape[-1]), scaled.shape[-1]
    while True:
        top = scaled.topk(kept, -1).values if kept < n else scaled.sort(-1, descending=True).values
        threshold = solve(top)
        if kept == n or bool((top[..., -1:] <= threshold).all()):
            return threshold
        kept = min(8 * kept, n)


def _sparsemax_threshold(top: Tensor) -> Tensor:
    ranks = torch.arange(1, top.shape[-1] + 1, dtype=top.dtype, device=top.device)
    total = top.cumsum(-1)
    support = (1 + ranks * top > total).sum(-1, keepdim=True)
    return (total.gather(-1, support - 1) - 1) / support


def _entmax_15_threshold(top: Tensor) -> Tensor:
    ranks = torch.arange(1, top.shape[-1] + 1, dtype=top.dtype, device=top.device)
    mean = top.cumsum(-1) / ranks
    scatter = top.square().cumsum(-1) - ranks * mean.square()
    thresholds = mean - ((1 - scatter).clamp_(min=0.0) / ranks).sqrt_()
    support = (thresholds <= top).sum(-1, keepdim=True)
    return thresholds.gather(-1, support - 1)


def _bisected(top: Tensor, power: float) -> Tensor:
    low, high = torch.full_like(top[..., :1], -1.0), torch.zeros_like(top[..., :1])
    for _ in range(80 if top.dtype == torch.float64 else 40):
        middle = (low + high) / 2
        heavy = (top - middle).clamp_(min=0.0).pow_(power).sum(-1, keepdim=True) > 1
        low, high = torch.where(heavy, middle, low), torch.where(heavy, high, middle)
    return (low + high) / 2


_EXACT: dict[float, Callable[[Tensor], Tensor]] = {1.5: _entmax_15_threshold, 2.0: _sparsemax_threshold}
