"""Losses over pairs of a list that the labels put in order.

Knows scores and labels only. Shapes: ... lists, n entries of a list.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def ordered_pairs(relevance: Tensor, *, where: Tensor | None = None) -> Tensor:
    """(..., i, j) bool: i should stand above j. Padding (`where` False) forms no pair."""
    ordered = relevance.unsqueeze(-1) > relevance.unsqueeze(-2)
    if where is not None:
        ordered = ordered & where.unsqueeze(-1) & where.unsqueeze(-2)
    return ordered


def lost_pairs(scores: Tensor, *, sharpness: float = 1.0) -> Tensor:
    """(..., i, j): `softplus(-sharpness (s_i - s_j))`, what a pair costs in which i should stand above j."""
    return F.softplus(-sharpness * (scores.unsqueeze(-1) - scores.unsqueeze(-2)))


def ranknet(
    scores: Tensor, relevance: Tensor, *, sharpness: float = 1.0, where: Tensor | None = None
) -> Tensor:
    """`log(1 + exp(-a (s_i - s_j)))` on every pair with `r_i > r_j` (Burges et al. 2005, equation 3).

    Its gradient adds up to 0 over a list.

    Args:
        scores: (..., n) float, any scale.
        relevance: (..., n) graded labels; only their order matters.
        sharpness: a, above 0; an inverse temperature.
        where: (..., n) bool, False for padding.

    Returns: () mean over ordered pairs in nats; 0 where no pair is ordered, never NaN.

    >>> import torch
    >>> ranknet(torch.zeros(2), torch.tensor([1, 0]))
    tensor(0.6931)
    """
    if where is not None:
        scores = scores.masked_fill(~where, 0.0)
    ordered = ordered_pairs(relevance, where=where)
    losses = lost_pairs(scores, sharpness=sharpness).masked_fill(~ordered, 0.0)
    return losses.sum() / ordered.sum().clamp(min=1)
