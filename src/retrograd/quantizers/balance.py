"""Codes that are used alike: assignment by entropic transport instead of to the nearest.

Every code takes about the same number of vectors, where these stand close to several; Caron et al.,
"Unsupervised Learning of Visual Features by Contrasting Cluster Assignments", 2020, section 3.1. Knows
distances and centres only.
Shapes: n vectors, d dimensions, k centres.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from retrograd.ops.sinkhorn import sinkhorn
from retrograd.quantizers.kmeans import cluster_means, kmeans, squared_distances

TEMPERATURE = 0.02
"""Of the transport, in units of the mean squared distance between vectors and centres."""

ROUNDS = 4
"""Assignments and means in turn."""

_STEPS = 8
_AT_ONCE = 1 << 14
"""Vectors that are balanced together."""


def balanced_codes(distances: Tensor) -> Tensor:
    """(n, k) squared distances -> (n,) int64: where most of each vector goes when all centres take alike.

    >>> balanced_codes(torch.tensor([[0.0, 0.2], [0.0, 0.3], [0.1, 0.11], [0.1, 0.12]])).tolist()
    [0, 0, 1, 1]
    """
    unit = distances.mean().clamp(min=torch.finfo(distances.dtype).tiny)
    return sinkhorn(-distances / (TEMPERATURE * unit), steps=_STEPS).argmax(dim=1)


def balanced_centres(points: np.ndarray, centres: np.ndarray, *, seed: int | tuple[int, ...]) -> np.ndarray:
    """Centres moved to where balanced assignments put them: (k, d) float32.

    Args:
        points: (n, d) float32.
        centres: (k, d) float32, where they start.
        seed: draws which vectors are balanced together where there are many.
    """
    rng = np.random.default_rng(seed)
    for _ in range(ROUNDS if len(centres) > 1 else 0):
        codes = np.empty(len(points), np.int64)
        parts = max(1, round(len(points) / _AT_ONCE))
        for rows in np.array_split(rng.permutation(len(points)), parts):
            distances = torch.from_numpy(squared_distances(points[rows], centres))
            codes[rows] = balanced_codes(distances).numpy()
        centres = cluster_means(points, codes, centres)
    return centres


def balanced_groups(points: np.ndarray, count: int, *, seed: int | tuple[int, ...]) -> np.ndarray:
    """(n, d) float32 -> (n,) int64: at most `count` clusters, more equal in size than those of k-means.

    >>> balanced_groups(np.array([[0.0], [0.1], [5.0], [5.1]], np.float32), 2, seed=0).tolist()
    [1, 1, 0, 0]
    """
    centres, _ = kmeans(points, count, seed=seed)
    centres = balanced_centres(points, centres, seed=seed)
    return balanced_codes(torch.from_numpy(squared_distances(points, centres))).numpy()
