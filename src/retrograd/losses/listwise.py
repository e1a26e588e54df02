"""Losses over a whole list: as one distribution over its entries, or over its orders.

Knows scores and labels only. Shapes: ... lists, n entries of a list.
"""

from __future__ import annotations

import torch
from torch import Tensor

from retrograd.losses.policy import plackett_luce_log_probability
from retrograd.ops.masks import log_softmax


def mean_over_lists(losses: Tensor, counted: Tensor) -> Tensor:
    """() mean of the (...) losses over the lists that count; 0 where none does, never NaN."""
    return losses.masked_fill(~counted, 0.0).sum() / counted.sum().clamp(min=1)


def listnet(scores: Tensor, relevance: Tensor, *, where: Tensor | None = None) -> Tensor:
    """`-sum_i softmax(r)_i log softmax(s)_i`, the top-one form (Cao et al. 2007, section 4.4).

    Args:
        scores: (..., n) float, already divided by a temperature.
        relevance: (..., n) labels on the scale of logits: one more is e times as likely first.
        where: (..., n) bool, False for padding.

    Returns: () nats, mean over lists with an entry; 0 where there is none, never NaN.

    >>> listnet(torch.zeros(2), torch.tensor([3.0, 0.0]))
    tensor(0.6931)
    """
    where = torch.ones_like(scores, dtype=torch.bool) if where is None else where
    target = log_softmax(relevance.to(scores.dtype), where).exp()
    losses = -(target * log_softmax(scores, where)).masked_fill(~where, 0.0).sum(-1)
    return mean_over_lists(losses, where.any(-1))


def list_mle(scores: Tensor, relevance: Tensor, *, where: Tensor | None = None) -> Tensor:
    """`-sum_i (s_i - log sum_{j not before i} exp s_j)` down the labels (Xia et al. 2008, equation 10).

    The negative log-probability that draws without replacement give this order; entries with equal labels
    are taken in the order in which they stand.

    Args:
        scores: (..., n) float.
        relevance: (..., n) graded labels; only their order matters.
        where: (..., n) bool, False for padding.

    Returns: () nats a list, mean over lists with an entry; 0 where there is none, never NaN.

    >>> list_mle(torch.zeros(3), torch.tensor([2, 1, 0])).exp()
    tensor(6.)
    """
    where = torch.ones_like(scores, dtype=torch.bool) if where is None else where
    labels = relevance.to(torch.float64).masked_fill(~where, -torch.inf)
    order = labels.argsort(dim=-1, descending=True, stable=True)
    return mean_over_lists(-plackett_luce_log_probability(scores, order, where=where), where.any(-1))
