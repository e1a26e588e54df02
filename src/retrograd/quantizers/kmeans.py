"""k-means on plain arrays: Lloyd's steps from a k-means++ start, on growing samples where there are many.

Distances are products in the compiled core where it was built, else in numpy. Knows neither trees nor
codes; `docids` and the other quantisers build on it. Shapes: n vectors, d dimensions, k clusters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from retrograd.errors import InputError
from retrograd.native import Library, find, nearest_centres

MANY = 1 << 16
"""With more vectors than this, and than `BATCH` a cluster, centres are those of samples."""

BATCH, SAMPLE = 256, 1024
"""Vectors per cluster of one step, `MANY` at least, and of all steps, four times as many at least."""

BATCH_STEPS = 12
"""Steps on batches; one on the whole sample follows."""

CHUNK_CELLS = 1 << 22
"""Cells of the largest temporary matrix: 16 MB of float32."""

CANCELLATION = 1e-5
"""Below this share of the squared norms, `|x|^2 - 2xc + |c|^2` has no correct digit left in float32."""

ROUNDING = 1e-13
"""Below this share of the squared norms, vectors are copies that were rounded apart (a few units in the last
place): the same row of a matrix product can differ with its place in the matrix."""


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
    farthest from its centre. Of more than 65,536 vectors (and 256 per cluster) each step sees a batch of
    a sample (Sculley, 2010, with means in the place of rates), from the better of a k-means++ and a uniform
    start, and only the last assignment sees all.

    Args:
        vectors: (n, d) finite numbers, n >= 1.
        num_clusters: clusters wanted, at least 1.
        seed: where the start is drawn from; a sequence of ints seeds one of many runs.
        iterations: Lloyd steps at most; it stops earlier once no vector changes its cluster. On batches no
            more than `BATCH_STEPS` and one.
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
    rng = np.random.default_rng(seed)
    with _one_thread():
        if len(points) <= max(MANY, BATCH * num_clusters):
            return _lloyd(points, _spread_start(points, num_clusters, rng), iterations, spherical)
        sample = points[rng.permutation(len(points))[: sample_size(num_clusters)]]
        centroids = _by_batches(sample, num_clusters, rng, iterations, spherical)
        used, assignment = np.unique(_nearest(points, centroids)[0], return_inverse=True)
    return centroids[used], assignment.astype(np.int64)


def sample_size(num_clusters: int) -> int:
    """So many vectors are all that `kmeans` looks at for its centres.

    >>> sample_size(8), sample_size(1024)
    (262144, 1048576)
    """
    return max(4 * MANY, SAMPLE * num_clusters)


def _by_batches(
    sample: np.ndarray, num_clusters: int, rng: np.random.Generator, iterations: int, spherical: bool
) -> np.ndarray:
    """(k, d) centres; `sample` stands in random order."""
    size = max(MANY, BATCH * num_clusters)
    first = sample[: size // 4]  # a start looks at all it is drawn from once for each centre
    starts = (_spread_start(first[: size // 16], num_clusters, rng), sample[:num_clusters].copy())
    centroids = min(starts, key=lambda centres: float(_nearest(first, centres)[1].mean()))
    begin = 0
    for _ in range(min(iterations, BATCH_STEPS)):
        centroids = _one_step(sample[begin : begin + size], centroids, spherical)
        begin = 0 if begin + 2 * size > len(sample) else begin + size
    return _one_step(sample, centroids, spherical) if iterations else centroids


def _one_step(points: np.ndarray, centroids: np.ndarray, spherical: bool) -> np.ndarray:
    assignment, gaps = _nearest(points, centroids)
    if _reseed_empty(points, centroids, assignment, gaps):
        assignment, _ = _nearest(points, centroids)
    return _moved(points, assignment, centroids, spherical)


def _moved(points: np.ndarray, assignment: np.ndarray, centroids: np.ndarray, spherical: bool) -> np.ndarray:
    moved = cluster_means(points, assignment, centroids)
    return _unit_rows(moved) if spherical else moved


def _lloyd(
    points: np.ndarray, centroids: np.ndarray, iterations: int, spherical: bool
) -> tuple[np.ndarray, np.ndarray]:
    assignment, gaps = _nearest(points, centroids)
    for _ in range(iterations):
        previous = assignment
        centroids = _moved(points, assignment, centroids, spherical)
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


def _core() -> Library | None:
    found = find()
    return found if isinstance(found, Library) else None


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
    core = _core()

    def fill(rows: slice) -> None:
        if core is not None:
            assignment[rows], gaps[rows] = nearest_centres(core, points[rows], centroids)
        else:
            offsets = _offsets(points[rows], centroids)
            assignment[rows], gaps[rows] = offsets.argmin(axis=1), offsets.min(axis=1)
        gaps[rows] += _squared_norms(points[rows])

    chunks = list(_chunks(len(points), len(centroids)))
    if len(chunks) < 2:
        list(map(fill, chunks))
    else:  # what a chunk gets depends on no other
        with ThreadPoolExecutor(_threads()) as pool:
            list(pool.map(fill, chunks))
    return assignment, gaps


def _threads() -> int:
    import torch

    return torch.get_num_threads()


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
    both = norms + norms[row]
    gaps: np.ndarray = both - 2.0 * (points @ points[row])
    unsure = np.flatnonzero(gaps < CANCELLATION * both)
    gaps[unsure] = _squared_norms(points[unsure] - points[row])
    gaps[gaps < ROUNDING * both] = 0.0
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
    from scipy.sparse import csr_array

    sums = np.zeros(centroids.shape, np.float64)
    for rows in _chunks(len(points), points.shape[1]):
        mine = assignment[rows]
        entries = (np.ones(len(mine), np.float32), (mine, np.arange(len(mine))))
        sums += csr_array(entries, shape=(len(centroids), len(mine))) @ points[rows]
    counts = np.bincount(assignment, minlength=len(centroids))[:, None]
    return np.divide(sums, counts, out=centroids.astype(np.float64), where=counts > 0).astype(np.float32)


def take_away(points: np.ndarray, centroids: np.ndarray, assignment: np.ndarray) -> None:
    """Subtract each vector's centre from it, in place, without a second matrix of their size.

    >>> left = np.array([[1.0], [8.0]])
    >>> take_away(left, np.array([[0.0], [9.0]]), np.array([0, 1]))
    >>> left.ravel().tolist()
    [1.0, -1.0]
    """
    for rows in _chunks(len(points), points.shape[1]):
        points[rows] -= centroids[assignment[rows]]


def _reseed_empty(
    points: np.ndarray, centroids: np.ndarray, assignment: np.ndarray, gaps: np.ndarray
) -> bool:
    """Move empty centres, in place, to the vectors farthest from theirs. False where none moved."""
    empty = np.flatnonzero(np.bincount(assignment, minlength=len(centroids)) == 0)
    farthest = np.argsort(-gaps, kind="stable")[: len(empty)] if len(empty) else empty
    apart = (points[farthest] != centroids[assignment[farthest]]).any(axis=1)
    centroids[empty[: len(farthest)][apart]] = points[farthest[apart]]
    return bool(apart.any())
