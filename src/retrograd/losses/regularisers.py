"""Terms that keep vectors spread, codes used alike and activations few.

Knows matrices only. Shapes: n vectors, d dimensions, C choices, V terms.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def uniformity(vectors: Tensor, *, t: float = 2.0) -> Tensor:
    """`log mean exp(-t |x - y|^2)` over pairs of different unit vectors; lower is more evenly spread.

    Wang and Isola 2020 (arXiv:2005.10242), equation 2.

    Args:
        vectors: (n, d) float; brought to unit length.
        t: above 0.

    Returns: () in [-4 t, 0]; 0 for fewer than two vectors.

    >>> uniformity(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    tensor(-8.)
    """
    n = len(vectors)
    if n < 2:
        return vectors.sum() * 0
    units = F.normalize(vectors, dim=-1)
    exponents = -t * (2 - 2 * units @ units.T)
    exponents = exponents.masked_fill(torch.eye(n, dtype=torch.bool, device=vectors.device), -torch.inf)
    return exponents.flatten().logsumexp(0) - math.log(n * (n - 1))


def alignment(first: Tensor, second: Tensor, *, power: float = 2.0) -> Tensor:
    """`mean |x - y|^power` over pairs of unit vectors that belong together.

    Wang and Isola 2020 (arXiv:2005.10242), equation 1.

    Args:
        first, second: (n, d) float; brought to unit length.

    Returns: () at least 0; 0 for no pair.

    >>> alignment(torch.eye(2), -torch.eye(2))
    tensor(4.)
    """
    gaps = (F.normalize(first, dim=-1) - F.normalize(second, dim=-1)).square().sum(-1)
    return (gaps if power == 2 else gaps.clamp(min=1e-12) ** (power / 2)).sum() / max(len(first), 1)


def flops(weights: Tensor) -> Tensor:
    """`sum_j (mean_i |w_ij|)^2`: about the products that a sparse dot product of two such rows takes.

    Paria et al. 2020 (arXiv:2004.05665), equation 4.

    Args:
        weights: (n, V) float.

    Returns: () at least 0; 0 for no row.

    >>> flops(torch.tensor([[1.0, 0.0], [1.0, 2.0]]))
    tensor(2.)
    """
    return (weights.abs().sum(0) / max(len(weights), 1)).square().sum()


def balance(probabilities: Tensor, *, where: Tensor | None = None) -> Tensor:
    """`C sum_c share_c^2 - 1`, the squared coefficient of variation of how much each choice is used.

    Shazeer et al. 2017 (arXiv:1701.06538), equation 6, on shares of the total.

    Args:
        probabilities: (n, C) float at least 0; rows need not add up to 1.
        where: (n,) bool, False for padding.

    Returns: () from 0 (all used alike) to C - 1 (one alone); 0 where nothing is used.

    >>> balance(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    tensor(1.)
    """
    if where is not None:
        probabilities = probabilities.masked_fill(~where.unsqueeze(-1), 0.0)
    used = probabilities.sum(0)
    total = used.sum()
    shares = used / total.masked_fill(total <= 0, 1.0)
    return (shares.shape[-1] * shares.square().sum() - 1).masked_fill(total <= 0, 0.0)


def variance(vectors: Tensor, *, floor: float = 1.0, epsilon: float = 1e-4) -> Tensor:
    """`mean_j max(0, floor - sqrt(Var_j + eps))`: no dimension may go quiet.

    Bardes et al. 2022 ("VICReg", arXiv:2105.04906), equation 1.

    Args:
        vectors: (n, d) float.

    Returns: () from 0 to `floor`; 0 for fewer than two vectors.

    >>> variance(torch.tensor([[3.0], [-3.0]]))
    tensor(0.)
    """
    if len(vectors) < 2:
        return vectors.sum() * 0
    return F.relu(floor - (vectors.var(0) + epsilon).sqrt()).mean()


def covariance(vectors: Tensor) -> Tensor:
    """`sum_{j != l} Cov_jl^2 / d`: no dimension may repeat another.

    Bardes et al. 2022 ("VICReg", arXiv:2105.04906), equations 3 and 4.

    Args:
        vectors: (n, d) float.

    Returns: () at least 0; 0 for fewer than two vectors.

    >>> covariance(torch.tensor([[1.0, 1.0], [-1.0, -1.0]]))
    tensor(4.)
    """
    if len(vectors) < 2:
        return vectors.sum() * 0
    centred = vectors - vectors.mean(0)
    products = centred.T @ centred / (len(vectors) - 1)
    return (products.square().sum() - products.diagonal().square().sum()) / vectors.shape[-1]
