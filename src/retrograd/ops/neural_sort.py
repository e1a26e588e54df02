"""Sorting as a matrix: a row-stochastic relaxation of the permutation that sorts a list.

Knows scores only. Shapes: n entries of a list.
"""

from __future__ import annotations

import torch
from torch import Tensor

from retrograd.ops.masks import masked


def neural_sort(scores: Tensor, *, temperature: float | Tensor = 1.0, where: Tensor | None = None) -> Tensor:
    """`P[i] = softmax(((n + 1 - 2i) s - A 1) / temperature)`, `A_jk = |s_j - s_k|`, i from 1.

    Grover et al. 2019 ("Stochastic Optimization of Sorting Networks via Continuous Relaxations",
    arXiv:1903.08850), equation 5. As the temperature goes to 0, row i marks the i-th largest score.

    Args:
        scores: (..., n) float.
        where: (..., n) bool, False for padding: such entries hold no place, and places beyond the last
            allowed entry are empty.

    Returns: (..., n places, n entries); the rows of places that exist add up to 1, the others are 0.

    >>> neural_sort(torch.tensor([1.0, 3.0]), temperature=0.01)
    tensor([[0., 1.],
            [1., 0.]])
    """
    where = torch.ones_like(scores, dtype=torch.bool) if where is None else where
    scores = scores.masked_fill(~where, 0.0)
    count = where.sum(-1, keepdim=True)
    places = torch.arange(1, scores.shape[-1] + 1, device=scores.device)
    factors = (count + 1 - 2 * places).to(scores.dtype)
    gaps = (scores.unsqueeze(-1) - scores.unsqueeze(-2)).abs().masked_fill(~where.unsqueeze(-1), 0.0)
    logits = factors.unsqueeze(-1) * scores.unsqueeze(-2) - gaps.sum(-2, keepdim=True)
    cells = (places <= count).unsqueeze(-1) & where.unsqueeze(-2)
    return masked(logits / temperature, where.unsqueeze(-2)).softmax(-1).masked_fill(~cells, 0.0)
