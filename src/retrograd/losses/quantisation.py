"""Losses that keep a quantiser faithful: to the direction of a vector, to each residual, to all its codes.

Knows vectors, residuals and code usage; never texts or documents.
Shapes: n vectors, d dimensions, m levels, K codes of a level.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def reconstruction_angle(vectors: Tensor, reconstruction: Tensor) -> Tensor:
    """`mean(1 - cos(vector, sum of its codes))` (Wang et al. 2026, arXiv 2603.10409, equation 17).

    Args:
        vectors: (n, d) float.
        reconstruction: (n, d) float.

    Returns: () in [0, 2].

    >>> reconstruction_angle(torch.eye(2), 3 * torch.eye(2))
    tensor(0.)
    """
    return (1 - F.cosine_similarity(vectors, reconstruction, dim=-1)).mean()


def commitment(residuals: Tensor, assigned: Tensor, *, beta: float = 0.25) -> Tensor:
    """`mean_i sum_j |sg[r] - e|^2 + beta |r - sg[e]|^2` (arXiv 2603.10409, equation 18).

    Args:
        residuals: (n, m, d) float, what each level was given.
        assigned: (n, m, d) float, the code vector it chose.
        beta: weight of pulling residuals to codes, at least 0.

    Returns: () at least 0.

    >>> commitment(torch.zeros(1, 1, 2), torch.ones(1, 1, 2), beta=0.5)
    tensor(3.)
    """
    codebook = (residuals.detach() - assigned).square().sum(dim=(1, 2))
    encoder = (residuals - assigned.detach()).square().sum(dim=(1, 2))
    return (codebook + beta * encoder).mean()


def negative_usage_entropy(usage: Sequence[Tensor], *, epsilon: float = 1e-8) -> Tensor:
    """`sum_j sum_k p log(p + eps)` of the mean code probabilities (arXiv 2603.10409, equation 20).

    Args:
        usage: per level (K,) float, adding up to 1.

    Returns: () in nats, from `-sum_j log K_j` (every code used alike) to 0 (one code per level).

    >>> negative_usage_entropy([torch.full((4,), 0.25)])
    tensor(-1.3863)
    """
    return torch.stack([(level * (level + epsilon).log()).sum() for level in usage]).sum()


def code_diversity(codebook: Tensor, codes: Tensor, friends: Tensor) -> Tensor:
    """`-log softmax_{j != c}(e_c . e_j)[f]`, mean over vectors: a code is near one of its cluster, and far
    from all others, so that no region of the space holds most of the codes.

    Wang et al. 2024 (arXiv:2405.07314), the diversity regularisation.

    Args:
        codebook: (K, d) float.
        codes: (n,) int64, the code of each vector.
        friends: (n,) int64, another code of the same cluster; -1 for a vector that does not count, because
            its code is alone.

    Returns: () in nats; 0 where no vector counts, never NaN.

    >>> code_diversity(torch.zeros(3, 2), torch.tensor([0, 1]), torch.tensor([2, -1]))
    tensor(0.6931)
    """
    counts = friends >= 0
    codes, friends = codes[counts], friends[counts]
    scores = codebook[codes] @ codebook.T
    scores = scores.scatter(1, codes.unsqueeze(1), -torch.inf)
    return F.cross_entropy(scores, friends, reduction="sum") / max(len(codes), 1)
