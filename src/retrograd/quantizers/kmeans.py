"""k-means on plain arrays: Lloyd's iterations from a k-means++ start, in chunked matrix products.

Knows neither trees nor codes; `docids` and the other quantisers build on it.
Shapes: n vectors, d dimensions, k clusters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from retrograd.errors import InputError

CHUNK_CELLS = 1 << 22
"""Cells of the largest temporary matrix: 16 MB of float32."""

CANCELLATION = 1e-5
"""Below this share of the squared norms, `|x|^2 - 2xc + |c|^2` has no correct digit left in float32."""


def kmeans(
    vectors: np.ndarray,
    num_clusters: int,
    *,
    seed: int | Sequence[int],
    iterations: int = 25,
    spherical: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Cluster centres and the nearest centre of each vector.

    k-means++ start (Arthur and Vassilvitskii, 2007); a cluster that runs empty moves to the vector
    farthest from its centre.

    Args:
        vectors: (n, d) finite numbers, n >= 1.
        num_clusters: clusters wanted, at least 1.
        seed: where the start is drawn from; a sequence of ints seeds one of many runs.
        iterations: Lloyd steps at most; it stops earlier once no vector changes its cluster.
        spherical: compare directions: vectors and centres are scaled to length 1.

    Returns:
        (k, d) float32 centres and (n,) int64 assignment, equal to `assign_nearest(vectors, centres)`
        (of the scaled vectors when spherical). No cluster is empty, so k < num_clusters where there
        are fewer distinct vectors than clusters.

    Raises:
        InputError: no vector, a value that is not finite, or num_clusters below 1.

    >>> centres, assignment = kmeans(np.array([[0.0], [0.0], [9.0]]), 3, seed=0)
    >>> len(centres), bool(assignment[0] == assignment[1] != assignment[2])
    (2, True)
    """
    if num_clusters < 1:
        raise InputError(f"num_clusters={num_clusters} must be at least 1")
    points = as_points(vectors)
    if spherical:
        points = _unit_rows(points)
    with _one_thread():
        return _lloyd(points, num_clusters, np.random.default_rng(seed), iterations, spherical)


def _lloyd(
    points: np.ndarray, num_clusters: int, rng: np.random.Generator, iterations: int, spherical: bool
) -> tuple[np.ndarray, np.ndarray]:
    centroids = _spread_start(points, num_clusters, rng)
    assignment, gaps = _nearest(points, centroids)
    for _ in range(iterations):
        previous = assignment
        centroids = cluster_means(points, assignment, centroids)
        if spherical:
            centroids = _unit_rows(centroids)
        assignment, gaps = _nearest(points, centroids)
        if _reseed_empty(points, centroids, assignment, gaps):
            assignment, gaps = _nearest(points, centroids)
        elif np.array_equal(assignment, previous):
            break
    used, assignment = np.unique(assignment, return_inverse=True)
    return centroids[used], assignment.astype(np.int64)


def assign_nearest(vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The nearest centre of each vector by Euclidean distance; the lower row wins a tie.

    Args:
        vectors: (n, d).
        centroids: (k, d), k >= 1.

    Returns: (n,) int64 in [0, k).

    >>> assign_nearest(np.array([[1.0], [8.0]]), np.array([[0.0], [9.0]])).tolist()
    [0, 1]
    """
    with _one_thread():
        return _nearest(np.asarray(vectors, np.float32), np.asarray(centroids, np.float32))[0]


def squared_distances(vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """(n, d) and (k, d) -> (n, k) float32 squared Euclidean distances, never negative.

    >>> squared_distances(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]])).tolist()
    [[25.0]]
    """
    points, centres = np.asarray(vectors, np.float32), np.asarray(centroids, np.float32)
    out = np.empty((len(points), len(centres)), np.float32)
    for rows in _chunks(len(points), len(centres)):
        out[rows] = _offsets(points[rows], centres)
        out[rows] += _squared_norms(points[rows])[:, None]
    np.maximum(out, 0.0, out=out)
    return out


def as_points(vectors: np.ndarray) -> np.ndarray:
    """Vectors as a checked (n, d) float32 matrix, n >= 1 and d >= 1.

    Raises:
        InputError: another shape, or a value that is not finite (its row is named).
    """
    points = np.ascontiguousarray(vectors, np.float32)
    if points.ndim != 2 or 0 in points.shape:
        raise InputError(f"clustering needs a matrix of at least one vector, not shape {points.shape}")
    finite = np.isfinite(points).all(axis=1)
    if not finite.all():
        raise InputError(f"vector {int(np.flatnonzero(~finite)[0])} holds a value that is not finite")
    return points


@cache
def _blas() -> Any:
    return ThreadpoolController().select(user_api="blas")


def _one_thread() -> AbstractContextManager[Any]:
    """Sums depend on how BLAS splits them over threads; and many small products only wait for threads."""
    limit: AbstractContextManager[Any] = _blas().limit(limits=1)
    return limit


def _chunks(rows: int, columns: int) -> Iterator[slice]:
    step = max(1, CHUNK_CELLS // max(1, columns))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def _squared_norms(points: np.ndarray) -> np.ndarray:
    norms: np.ndarray = np.einsum("nd,nd->n", points, points)
    return norms


def _unit_rows(points: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(points, axis=1, keepdims=True)
    scaled: np.ndarray = points / np.where(norms > 0, norms, 1)
    return scaled


def _offsets(points: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """(n, k) squared distances less the norm of each point, which no argmin needs."""
    products: np.ndarray = points @ centroids.T
    products *= -2.0
    products += _squared_norms(centroids)
    return products


def _nearest(points: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) int64 nearest centre and (n,) float32 squared distance to it."""
    assignment = np.empty(len(points), np.int64)
    gaps = np.empty(len(points), np.float32)
    for rows in _chunks(len(points), len(centroids)):
        offsets = _offsets(points[rows], centroids)
        assignment[rows] = offsets.argmin(axis=1)
        gaps[rows] = offsets.min(axis=1) + _squared_norms(points[rows])
    return assignment, gaps


def _spread_start(points: np.ndarray, num_clusters: int, rng: np.random.Generator) -> np.ndarray:
    """k-means++: each next centre is drawn in proportion to its squared distance to those chosen."""
    norms = _squared_norms(points)
    chosen = [int(rng.integers(len(points)))]
    gaps = _gaps_to(points, norms, chosen[0])
    while len(chosen) < num_clusters:
        mass = np.cumsum(gaps, dtype=np.float64)
        if mass[-1] <= 0:  # every distinct vector is a centre already
            break
        drawn = int(np.searchsorted(mass, rng.random() * mass[-1], side="right"))
        chosen.append(min(drawn, len(points) - 1))
        np.minimum(gaps, _gaps_to(points, norms, chosen[-1]), out=gaps)
    return points[chosen]


def _gaps_to(points: np.ndarray, norms: np.ndarray, row: int) -> np.ndarray:
    """(n,) squared distances to one of the points, exactly 0 for its copies and only for them."""
    gaps: np.ndarray = norms - 2.0 * (points @ points[row]) + norms[row]
    unsure = np.flatnonzero(gaps < CANCELLATION * (norms + norms[row]))
    gaps[unsure] = _squared_norms(points[unsure] - points[row])
    return gaps


def cluster_means(points: np.ndarray, assignment: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """(k, d) float32 mean of each cluster; an empty one keeps its centre.

    Args:
        points: (n, d) float32.
        assignment: (n,) int64 in [0, k).
        centroids: (k, d).

    >>> cluster_means(np.array([[1.0], [3.0]]), np.array([0, 0]), np.array([[0.0], [7.0]])).tolist()
    [[2.0], [7.0]]
    """
    # one-hot products beat `np.add.at` tenfold
    sums = np.zeros(centroids.shape, np.float64)
    for rows in _chunks(len(points), max(centroids.shape)):
        members = assignment[rows, None] == np.arange(len(centroids))
        sums += members.astype(np.float32).T @ points[rows]
    counts = np.bincount(assignment, minlength=len(centroids))[:, None]
    return np.divide(sums, counts, out=centroids.astype(np.float64), where=counts > 0).astype(np.float32)


def _reseed_empty(
    points: np.ndarray, centroids: np.ndarray, assignment: np.ndarray, gaps: np.ndarray
) -> bool:
    """Move empty centres, in place, to the vectors farthest from theirs. False where none moved."""
    empty = np.flatnonzero(np.bincount(assignment, minlength=len(centroids)) == 0)
    farthest = np.argsort(-gaps, kind="stable")[: len(empty)] if len(empty) else empty
    apart = (points[farthest] != centroids[assignment[farthest]]).any(axis=1)
    centroids[empty[: len(farthest)][apart]] = points[farthest[apart]]
    return bool(apart.any())
