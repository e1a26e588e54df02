"""Isotropy: do vectors use the directions of their space alike, or crowd into a narrow cone?

Pure functions of matrices of row vectors; nothing is known of what a vector stands for. Figures of
pairs are taken over all rows or over a drawn sample of a stated size.
Shapes: n vectors, d dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrograd.errors import InputError

SAMPLE = 4096
"""Rows that figures over all pairs look at; more are drawn from."""

_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True)
class Isotropy:
    """How one set of vectors fills its space."""

    num_vectors: int
    dimensions: int
    mean_cosine: float
    """Mean over all pairs; 0 for directions drawn evenly, towards 1 for a cone."""

    iso_score: float
    """In [0, 1], 1 = every direction carries the same variance; blind to the mean."""

    partition_ratio: float
    """Smallest over largest partition function, in (0, 1], 1 = isotropic; sees the mean."""

    effective_rank: float
    """In [1, d]: how many directions the vectors are worth."""

    uniformity: float
    """At most 0; lower is more evenly spread over the sphere. -4 is the mean limit for large d."""


def isotropy(vectors: np.ndarray, *, seed: int, sample: int = SAMPLE) -> Isotropy:
    """Every figure of one set of vectors.

    Args:
        vectors: (n, d) finite, n >= 2, no zero row.
        seed: draws the rows `uniformity` looks at where n is above `sample`; the rest is exact.

    Raises:
        InputError: another shape, fewer than two rows, a number that is not finite, a zero row.
    """
    points = _checked(vectors)
    return Isotropy(
        num_vectors=len(points),
        dimensions=points.shape[1],
        mean_cosine=mean_cosine(points),
        iso_score=iso_score(points),
        partition_ratio=partition_ratio(points),
        effective_rank=effective_rank(points),
        uniformity=uniformity(points, seed=seed, sample=sample),
    )


def mean_cosine(vectors: np.ndarray) -> float:
    """Mean cosine over all pairs of different rows, exact at any n: `(|sum of units|^2 - n) / (n (n - 1))`.

    >>> mean_cosine(np.array([[1.0, 0.0], [2.0, 0.0]])), mean_cosine(np.eye(3))
    (1.0, 0.0)
    """
    units = unit_rows(vectors)
    total, n = units.sum(axis=0), len(units)
    return float((total @ total - n) / (n * (n - 1)))


def iso_score(vectors: np.ndarray) -> float:
    """IsoScore: 1 where the covariance is a multiple of the identity, 0 where one direction has it all.

    With s the variances along the principal axes, scaled to |s| = sqrt(d), and the defect
    `delta = |s - 1| / sqrt(2 (d - sqrt d))`, the share of dimensions used is
    `phi = (d - delta^2 (d - sqrt d))^2 / d^2` and the score `(d phi - 1) / (d - 1)`.

    Rudman et al., "IsoScore: Measuring the Uniformity of Embedding Space Utilization", Findings of ACL
    2022, algorithm 1. One dimension is isotropic; vectors without any variance score 0.

    >>> iso_score(np.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]))
    1.0
    """
    points = np.asarray(vectors, np.float64)
    d = points.shape[1]
    variances = np.linalg.eigvalsh(np.atleast_2d(np.cov(points, rowvar=False, ddof=0))).clip(min=0)
    length = np.linalg.norm(variances)
    if not length:
        return 0.0
    if d == 1:
        return 1.0
    scaled = np.sqrt(d) * variances / length
    defect = np.linalg.norm(scaled - 1) / np.sqrt(2 * (d - np.sqrt(d)))
    used = (d - defect**2 * (d - np.sqrt(d))) ** 2 / d**2
    return float(np.clip((d * used - 1) / (d - 1), 0.0, 1.0))


def partition_ratio(vectors: np.ndarray) -> float:
    """min Z(c) / max Z(c) with `Z(c) = sum_i exp(c . v_i)` over the eigenvectors c of V^T V.

    Mu and Viswanath, "All-but-the-Top", ICLR 2018, equation 5. An eigenvector has no sign, so both
    are taken: the figure then does not depend on the solver.
    """
    points = np.asarray(vectors, np.float64)
    axes = np.linalg.eigh(points.T @ points)[1]
    totals = np.full(2 * points.shape[1], -np.inf)
    for start in range(0, len(points), _ROWS_AT_ONCE):
        along = points[start : start + _ROWS_AT_ONCE] @ axes
        totals = np.logaddexp(totals, np.logaddexp.reduce(np.hstack([along, -along]), axis=0))
    return float(np.exp(totals.min() - totals.max()))


def effective_rank(vectors: np.ndarray) -> float:
    """exp of the entropy of the normalised singular values, in [1, min(n, d)]; 0 for a zero matrix.

    Roy and Vetterli, "The effective rank", EUSIPCO 2007, definition 1.

    >>> round(effective_rank(np.eye(5)), 9)
    5.0
    """
    points = np.asarray(vectors, np.float64)
    singular = np.sqrt(np.linalg.eigvalsh(points.T @ points).clip(min=0))
    shares = singular[singular > singular.max() * 1e-7]  # below it a root of rounding errors
    if not len(shares):
        return 0.0
    shares = shares / shares.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def uniformity(vectors: np.ndarray, *, seed: int, sample: int = SAMPLE) -> float:
    """log of the mean of `exp(-2 |x - y|^2)` over pairs of different unit rows; at most 0, lower is better.

    Wang and Isola, "Understanding Contrastive Representation Learning through Alignment and Uniformity
    on the Hypersphere", ICML 2020, section 4.1.2 with t = 2.
    """
    units = unit_rows(vectors)
    if len(units) > sample:
        chosen = np.random.default_rng([seed, 3]).choice(len(units), sample, replace=False)
        units = units[np.sort(chosen)]
    n, total = len(units), 0.0
    for start in range(0, n, _ROWS_AT_ONCE):
        block = units[start : start + _ROWS_AT_ONCE]
        total += float(np.exp(4 * (block @ units.T) - 4).sum())
    with np.errstate(divide="ignore"):
        return float(min(0.0, np.log(max(0.0, total - n) / (n * (n - 1)))))


def alignment(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Mean of `|x - y|^2` over pairs that belong together; 0 = equal directions, 2 = unrelated ones.

    Wang and Isola, ICML 2020, section 4.1.1 with alpha = 2.

    Args:
        ours: (p, d), say the query of each judged pair.
        theirs: (p, d), say its relevant document; p >= 1.

    >>> alignment(np.eye(2), np.eye(2)), alignment(np.eye(2), np.eye(2)[::-1])
    (0.0, 2.0)
    """
    gaps = unit_rows(ours) - unit_rows(theirs)
    return float((gaps**2).sum(axis=1).mean())


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """(n, d) float64 rows of length 1; a zero row stays zero."""
    points = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    units: np.ndarray = points / np.where(lengths > 0, lengths, 1.0)
    return units


def _checked(vectors: np.ndarray) -> np.ndarray:
    points = np.asarray(vectors, np.float64)
    if points.ndim != 2 or len(points) < 2 or not points.shape[1]:
        raise InputError(f"vectors of shape {points.shape} must be (n, d) with at least two rows")
    if not np.isfinite(points).all():
        raise InputError("a vector holds a number that is not finite; was the model trained to the end?")
    if not points.any(axis=1).all():
        raise InputError("a vector is zero and has no direction")
    return points
