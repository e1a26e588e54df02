"""Forward as if the choice were hard, backward as if it were its relaxation.

The gradient is that of the relaxation, hence biased for the hard value. Knows tensors only.
"""

from __future__ import annotations

import torch
from torch import Tensor


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """The value of `hard` with the gradient of `soft` (Bengio et al. 2013, arXiv:1308.3432).

    Args:
        hard: (...) float; gets no gradient.
        soft: (...) float, the same shape.

    Returns: (...), exactly `hard` wherever `soft` is finite.

    >>> straight_through(torch.tensor([1.0, 0.0]), torch.tensor([0.6, 0.4]))
    tensor([1., 0.])
    """
    return hard.detach() + (soft - soft.detach())


def hard_topk(scores: Tensor, k: int, *, where: Tensor | None = None) -> Tensor:
    """1 for the k largest scores of a row and 0 for the others, without gradient.

    Ties are broken as `torch.topk` does. A row of no more than k allowed entries gives each of them 1.

    Args:
        scores: (..., n) float; -inf is never chosen.
        k: at least 1.
        where: (..., n) bool, False for entries that are never chosen.

    >>> hard_topk(torch.tensor([0.1, 0.9, 0.5]), 2)
    tensor([0., 1., 1.])
    """
    scores = scores.detach()
    if where is not None:
        scores = scores.masked_fill(~where, -torch.inf)
    chosen = scores.topk(min(k, scores.shape[-1]), -1, sorted=False).indices
    return torch.zeros_like(scores).scatter_(-1, chosen, 1.0).masked_fill_(scores == -torch.inf, 0.0)
