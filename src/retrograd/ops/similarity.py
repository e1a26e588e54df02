"""How alike two vectors, or two sets of vectors, are; and scores made comparable with each other.

Knows vectors only. Shapes: K entries of a row, d dimensions, t and m vectors of a set.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def dot(queries: Tensor, keys: Tensor) -> Tensor:
    """`u . k_i`: (..., d) and (..., K, d) -> (..., K).

    >>> dot(torch.tensor([1.0, 2.0]), torch.eye(2))
    tensor([1., 2.])
    """
    return (keys @ queries.unsqueeze(-1)).squeeze(-1)


def cosine(queries: Tensor, keys: Tensor) -> Tensor:
    """`u . k_i / (|u| |k_i|)`: (..., d) and (..., K, d) -> (..., K); 0 for a vector that is 0.

    Its gradient in u is `(k^ - s u^) / |u|`, at right angles to u.

    >>> cosine(torch.tensor([2.0, 0.0]), torch.eye(2))
    tensor([1., 0.])
    """
    return dot(F.normalize(queries, dim=-1), F.normalize(keys, dim=-1))


def maxsim(queries: Tensor, tokens: Tensor) -> Tensor:
    """`sum_t max_m q_t . k_im`: (..., t, d) and (..., K, m, d) -> (..., K).

    Khattab and Zaharia 2020 ("ColBERT", arXiv:2004.12832), equation 3. A vector of zeros is padding on
    either side; an entry with no vector scores 0.

    >>> maxsim(torch.eye(2), torch.tensor([[[3.0, 0.0], [0.0, 1.0]], [[-1.0, -1.0], [0.0, 0.0]]]))
    tensor([ 4., -2.])
    """
    alike = torch.einsum("...td,...kmd->...ktm", queries, tokens)
    padding = (tokens == 0).all(-1)
    alike = alike.masked_fill(padding.unsqueeze(-2), torch.finfo(alike.dtype).min)
    best = alike.amax(-1).masked_fill(padding.all(-1).unsqueeze(-1), 0.0)
    return best.masked_fill((queries == 0).all(-1).unsqueeze(-2), 0.0).sum(-1)


def standardised(scores: Tensor, where: Tensor | None = None) -> Tensor:
    """Mean 0 and deviation 1 over the entries of each row; all 0 where all are alike.

    Args:
        scores: (..., K) float.
        where: (..., K) bool, False for padding, which comes out as 0.

    >>> standardised(torch.tensor([1.0, 3.0]))
    tensor([-1.,  1.])
    """
    where = torch.ones_like(scores, dtype=torch.bool) if where is None else where
    count = where.sum(-1, keepdim=True).clamp(min=1)
    centred = scores.masked_fill(~where, 0.0)
    centred = (centred - centred.sum(-1, keepdim=True) / count).masked_fill(~where, 0.0)
    variance = centred.square().sum(-1, keepdim=True) / count
    flat = variance <= torch.finfo(scores.dtype).eps ** 2 * scores.detach().square().amax(-1, keepdim=True)
    return centred.masked_fill(flat, 0.0) / variance.masked_fill(flat, 1.0).sqrt()
