"""Losses that follow nDCG: with smooth ranks, with a smooth sort, or pair by pair as swaps would change it.

The gain of a label r is `2^r - 1`, the discount of rank i is `1 / log2(1 + i)`. Lists without any gain
have no nDCG and do not count. Knows scores and labels only. Shapes: ... lists, n entries of a list.
"""

from __future__ import annotations

import torch
from torch import Tensor

from retrograd.losses.listwise import mean_over_lists
from retrograd.losses.pairwise import lost_pairs, ordered_pairs
from retrograd.ops.neural_sort import neural_sort
from retrograd.ops.sinkhorn import sinkhorn


def approx_ndcg(
    scores: Tensor, relevance: Tensor, *, alpha: float = 10.0, where: Tensor | None = None
) -> Tensor:
    """`1 - nDCG` with the ranks `1/2 + sum_j sigmoid(alpha (s_j - s_i))`, j = i included.

    Qin et al. 2010 ("A general approximation framework for direct optimization of information retrieval
    measures"), equation 10. With a growing alpha it becomes 1 - nDCG and its gradient vanishes.

    Args:
        scores: (..., n) float.
        relevance: (..., n) labels at least 0.
        alpha: above 0, an inverse temperature.
        where: (..., n) bool, False for padding.

    Returns: () in [0, 1], mean over lists with a gain; 0 where there is none, never NaN.

    >>> approx_ndcg(torch.tensor([9.0, 0.0]), torch.tensor([1, 0]))
    tensor(0.)
    """
    scores, gains = _gains(scores, relevance, where)
    above = torch.sigmoid(alpha * (scores.unsqueeze(-2) - scores.unsqueeze(-1)))
    if where is not None:
        above = above.masked_fill(~where.unsqueeze(-2), 0.0)
    return _one_minus_ndcg(gains, _discount(0.5 + above.sum(-1)))


def neural_ndcg(
    scores: Tensor,
    relevance: Tensor,
    *,
    temperature: float = 1.0,
    steps: int = 50,
    where: Tensor | None = None,
) -> Tensor:
    """`1 - nDCG` of gains that a smooth sort has put in order (Pobrotyn and Bialobrzeski 2021, equation 8).

    arXiv:2102.07831. The sort is `neural_sort`, made doubly stochastic by `steps` of `sinkhorn`.

    Args:
        scores, relevance, where: as `approx_ndcg`.
        temperature: above 0; towards 0 it becomes 1 - nDCG.

    Returns: () in [0, 1], mean over lists with a gain; 0 where there is none, never NaN.

    >>> neural_ndcg(torch.tensor([9.0, 0.0]), torch.tensor([1, 0]), temperature=0.1)
    tensor(0.)
    """
    scores, gains = _gains(scores, relevance, where)
    where = torch.ones_like(scores, dtype=torch.bool) if where is None else where
    places = torch.arange(1, scores.shape[-1] + 1, device=scores.device)
    full = places <= where.sum(-1, keepdim=True)
    order = neural_sort(scores, temperature=temperature, where=where)
    # Rows last: `sinkhorn` meets row sums exactly, and every entry must be counted exactly once.
    least = torch.finfo(order.dtype).tiny
    cells = where.unsqueeze(-1) & full.unsqueeze(-2)
    share = sinkhorn(
        order.mT.clamp(min=least).log(),
        rows=where.to(order.dtype),
        columns=full.to(order.dtype),
        steps=steps,
        where=cells,
    )
    return _one_minus_ndcg(gains, (share * _discount(places.to(order.dtype))).sum(-1))


def lambda_rank(
    scores: Tensor, relevance: Tensor, *, sharpness: float = 1.0, where: Tensor | None = None
) -> Tensor:
    """`sum |change of nDCG if i and j swapped places| * softplus(-(s_i - s_j))` over pairs with `r_i > r_j`.

    Burges 2010 ("From RankNet to LambdaRank to LambdaMART", section 4); the weights belong to the present
    order and get no gradient.

    Args:
        scores, relevance, where: as `approx_ndcg`.
        sharpness: above 0, an inverse temperature of the pairs.

    Returns: () mean over lists with a gain; 0 where there is none, never NaN.

    >>> lambda_rank(torch.tensor([1.0, 0.0]), torch.tensor([0, 1])) / torch.tensor(1.0).exp().log1p()
    tensor(0.3691)
    """
    scores, gains = _gains(scores, relevance, where)
    pairs = ordered_pairs(relevance, where=where)
    losses = lost_pairs(scores, sharpness=sharpness) * swap_changes(scores, relevance, where=where)
    return mean_over_lists(losses.masked_fill(~pairs, 0.0).sum((-2, -1)), gains.sum(-1) > 0)


def swap_changes(scores: Tensor, relevance: Tensor, *, where: Tensor | None = None) -> Tensor:
    """(..., i, j): by how much nDCG would change if i and j swapped places in the order of the scores.

    Ties are broken by position. 0 for lists without gain and for padding; no gradient.
    """
    scores, gains = _gains(scores.detach(), relevance, where)
    if where is not None:
        scores = scores.masked_fill(~where, -torch.inf)
    order = scores.argsort(dim=-1, descending=True, stable=True)
    discounts = _discount(order.argsort(-1).to(gains.dtype) + 1)
    gaps = (gains.unsqueeze(-1) - gains.unsqueeze(-2)) * (discounts.unsqueeze(-1) - discounts.unsqueeze(-2))
    changes = gaps.abs() / _ideal(gains).unsqueeze(-1).unsqueeze(-1)
    return changes if where is None else changes * (where.unsqueeze(-1) & where.unsqueeze(-2))


def _gains(scores: Tensor, relevance: Tensor, where: Tensor | None) -> tuple[Tensor, Tensor]:
    gains = torch.exp2(relevance.to(scores.dtype)) - 1
    if where is None:
        return scores, gains
    return scores.masked_fill(~where, 0.0), gains.masked_fill(~where, 0.0)


def _discount(ranks: Tensor) -> Tensor:
    return 1 / torch.log2(1 + ranks)


def _ideal(gains: Tensor) -> Tensor:
    """(...) the DCG of the best order; 1 for a list without gain."""
    ranks = torch.arange(1, gains.shape[-1] + 1, dtype=gains.dtype, device=gains.device)
    best = (gains.sort(-1, descending=True).values * _discount(ranks)).sum(-1)
    return best.masked_fill(best <= 0, 1.0)


def _one_minus_ndcg(gains: Tensor, discounts: Tensor) -> Tensor:
    found = (gains * discounts).sum(-1) / _ideal(gains)
    return mean_over_lists(1 - found, gains.sum(-1) > 0)
