"""Rotations: matrices that stay orthogonal while they learn, and the one that suits product codes.

A rotation changes no inner product, so it may be learnt for free: it decides which dimensions share a code.
Knows vectors only. Shapes: n vectors, d dimensions, m subspaces, w width of a subspace, K codes of one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from retrograd.errors import InputError
from retrograd.quantizers.kmeans import as_points, cluster_means
from retrograd.quantizers.product import ProductQuantizer, check_subspaces


def cayley(free: Tensor) -> Tensor:
    """`(I + S)^-1 (I - S)` with `S = free - free^T`: orthogonal whatever `free` is (Cayley 1846).

    Args:
        free: (..., d, d) float; 0 gives the identity.

    Returns: (..., d, d) with determinant 1.

    >>> cayley(torch.zeros(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    skew = free - free.mT
    identity = torch.eye(free.shape[-1], dtype=free.dtype, device=free.device)
    turned: Tensor = torch.linalg.solve(identity + skew, identity - skew)
    return turned


class Rotation(nn.Module):
    """`cayley(free) @ start`: begins at an orthogonal matrix and never leaves the orthogonal ones.

    Args:
        start: (d, d) orthogonal.

    Raises:
        ValueError: `start` is not orthogonal.
    """

    start: Tensor

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        identity = torch.eye(len(start), dtype=start.dtype, device=start.device)
        if start.shape != identity.shape or not torch.allclose(start @ start.mT, identity, atol=1e-4):
            raise ValueError(
                f"the start of a rotation must be orthogonal, and this {tuple(start.shape)} is not"
            )
        self.register_buffer("start", start.detach().clone())
        self.free = nn.Parameter(torch.zeros_like(start))

    def forward(self) -> Tensor:
        """(d, d); rows of vectors turn by `vectors @ rotation.mT`."""
        return cayley(self.free) @ self.start


@dataclass(frozen=True, kw_only=True)
class OptimisedProduct:
    """Product codes after the rotation that suits them."""

    iterations: int = 20
    """Turns of clustering and of rotating."""

    quantizer: ClassVar[str] = "product"

    def __post_init__(self) -> None:
        if self.iterations < 0:
            raise InputError(f"iterations={self.iterations} must not be negative")

    def fit(self, vectors: np.ndarray, subspaces: int, codes: int, *, seed: int) -> ProductQuantizer:
        """`optimised_rotation`, then `ProductQuantizer.fit` on what it turns; arguments as they have."""
        rotation = optimised_rotation(vectors, subspaces, codes, seed=seed, iterations=self.iterations)
        turned = ProductQuantizer.fit(as_points(vectors) @ rotation.T, subspaces, codes, seed=seed)
        return replace(turned, rotation=rotation)


def optimised_rotation(
    vectors: np.ndarray, subspaces: int, codes: int, *, seed: int, iterations: int = 20
) -> np.ndarray:
    """The rotation after which product codes lose least, by turns of clustering and of rotating.

    Ge et al. 2013 ("Optimized Product Quantization", CVPR), section 3.1, from the start of section 3.2.

    Args:
        vectors: (n, d) finite, n >= 1.
        subspaces: m, at most d.
        codes: K, centres per subspace.
        seed: of the clustering.
        iterations: turns, at least 0.

    Returns: (d, d) float32 orthogonal; rows of vectors turn by `vectors @ rotation.T`.

    Raises:
        InputError: what `ProductQuantizer.fit` refuses.
    """
    points = as_points(vectors)
    check_subspaces(subspaces, points.shape[1])
    rotation = balanced_axes(points, subspaces)
    fitted = ProductQuantizer.fit(points @ rotation.T, subspaces, codes, seed=seed)
    for _ in range(iterations):
        turned = points @ rotation.T
        pieces, nearest = np.array_split(turned, subspaces, axis=1), fitted.encode(turned)
        fitted = ProductQuantizer(
            tuple(cluster_means(pieces[at], nearest[:, at], book) for at, book in enumerate(fitted.codebooks))
        )
        rotation = procrustes(points, fitted.decode(fitted.encode(turned)))
    return rotation


def balanced_axes(vectors: np.ndarray, subspaces: int) -> np.ndarray:
    """Principal axes dealt out so that every subspace holds about the same product of variances.

    Ge et al. 2013, section 3.2: the best rotation of normally distributed vectors.

    Args:
        vectors: (n, d) float32.
        subspaces: m, as `np.array_split` cuts d.

    Returns: (d, d) float32 orthogonal.
    """
    centred = (vectors - vectors.mean(axis=0)).astype(np.float64)
    variances, axes = np.linalg.eigh(centred.T @ centred / len(vectors))
    room = [len(part) for part in np.array_split(np.arange(vectors.shape[1]), subspaces)]
    chosen: list[list[int]] = [[] for _ in room]
    logs = np.log(np.maximum(variances, 1e-12 * max(variances.max(), 1e-30)))
    held = np.zeros(subspaces)
    for axis in np.argsort(-variances, kind="stable"):
        least = min((at for at in range(subspaces) if len(chosen[at]) < room[at]), key=lambda at: held[at])
        chosen[least].append(int(axis))
        held[least] += logs[axis] - logs.min()
    rotation: np.ndarray = axes.T[np.concatenate([np.array(part, np.int64) for part in chosen])]
    return rotation.astype(np.float32)


def procrustes(vectors: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The orthogonal R that brings `vectors @ R.T` nearest to `targets` (Schönemann 1966).

    Args:
        vectors, targets: (n, d).

    Returns: (d, d) float32.

    >>> procrustes(np.eye(2), np.array([[0.0, 1.0], [-1.0, 0.0]])).tolist()
    [[0.0, -1.0], [1.0, 0.0]]
    """
    left, _, right = np.linalg.svd(targets.T.astype(np.float64) @ vectors.astype(np.float64))
    rotation: np.ndarray = left @ right
    return rotation.astype(np.float32)
