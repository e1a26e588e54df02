"""Significance: how far a mean over queries, or a difference of two, could be luck.

Knows arrays of per-query values and nothing of systems or measures. Queries that hang together (one
API asked for in many words, one user) are named by `groups`; then whole groups are resampled.
Shapes: n queries, G groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from retrograd.errors import InputError

EXACT_GROUPS = 16
"""Up to so many differing groups the randomisation test enumerates every sign pattern (65,536)."""

MANY, OFTEN = 4096, 32
"""From so many groups on, values that each occur so often on average are drawn by how many of each."""

_CELLS = 1 << 21  # numbers drawn at once: bounds the memory of a test at some 32 MB


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """How intervals and tests draw."""

    draws: int = 10_000
    """Bootstrap samples, and sign patterns where the test does not enumerate them all."""

    level: float = 0.95
    """Coverage of the intervals; 1 - level is the error rate of the marks in a comparison."""

    seed: int = 0

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise InputError(f"draws={self.draws} must be at least 1")
        if not 0 < self.level < 1:
            raise InputError(f"level={self.level} must lie between 0 and 1, for example 0.95")


@dataclass(frozen=True)
class Interval:
    """A mean and the ends of its confidence interval; the ends are NaN where one group is all there is."""

    mean: float
    low: float
    high: float


def paired_differences(ours: Mapping[str, float], theirs: Mapping[str, float]) -> np.ndarray:
    """(n,) float64, `ours - theirs` query by query, in the order of `ours`.

    `bootstrap_interval` of it is the paired bootstrap, `randomisation_test` of it the paired test.

    Raises:
        InputError: the two were measured on different queries.
    """
    if ours.keys() != theirs.keys():
        odd = sorted(ours.keys() ^ theirs.keys())
        raise InputError(f"{len(odd)} queries such as {odd[0]!r} were measured for one system only")
    return np.array([value - theirs[query] for query, value in ours.items()])


def groups_of(query_ids: Iterable[str], groups: Mapping[str, str] | None) -> list[str] | None:
    """The group of each query in turn, or None where no groups are given.

    Raises:
        InputError: a query without a group.
    """
    if groups is None:
        return None
    try:
        return [groups[query] for query in query_ids]
    except KeyError as error:
        raise InputError(f"query {error.args[0]!r} has no group; name one for every query") from None


def bootstrap_interval(
    values: np.ndarray, *, groups: Sequence[str] | None = None, resampling: Resampling | None = None
) -> Interval:
    """Percentile bootstrap of the mean (Efron 1979); with `groups` the cluster bootstrap.

    Groups are drawn with replacement and bring all their queries, so the mean stays one over queries.
    With fewer than about ten groups such intervals are too narrow; read them as a lower bound.

    Args:
        values: (n,) finite, n >= 1.
        groups: (n,) the group of each value; None makes every query its own.

    Raises:
        InputError: no value, a value that is not finite, or `groups` of another length.
    """
    sums, sizes = _group_sums(values, groups)
    mean = float(sums.sum() / sizes.sum())
    if len(sums) == 1:
        return Interval(mean, float("nan"), float("nan"))
    how = resampling or Resampling()
    rng = np.random.default_rng([how.seed, 1])
    distinct = _distinct(sums) if np.ptp(sizes) == 0 else None
    if distinct is not None:
        values, count = distinct
        drawn = rng.multinomial(len(sums), count / len(sums), size=how.draws) @ values
        low, high = np.quantile(drawn / sizes.sum(), [(1 - how.level) / 2, (1 + how.level) / 2])
        return Interval(mean, float(low), float(high))
    means = np.concatenate(
        [_resampled_means(sums, sizes, rows, rng) for rows in _chunks(how.draws, len(sums))]
    )
    low, high = np.quantile(means, [(1 - how.level) / 2, (1 + how.level) / 2])
    return Interval(mean, float(low), float(high))


def randomisation_test(
    differences: np.ndarray, *, groups: Sequence[str] | None = None, resampling: Resampling | None = None
) -> float:
    """Two-sided p that a mean difference at least so large arises when each sign is a fair coin.

    Fisher's paired randomisation test (Smucker et al. 2007); with `groups` all differences of a group
    change sign together. Exact up to `EXACT_GROUPS` groups that differ at all, else drawn:
    `(1 + extreme) / (1 + draws)`, which is never 0. All differences 0 gives 1.

    Args:
        differences: (n,) finite, n >= 1, from `paired_differences`.
        groups: (n,) the group of each difference; None makes every query its own.

    Raises:
        InputError: no value, a value that is not finite, or `groups` of another length.

    >>> randomisation_test(np.array([1.0, 2.0, 3.0]))
    0.25
    """
    sums, _ = _group_sums(differences, groups)
    sums = sums[sums != 0]  # a zero looks the same under either sign
    if not len(sums):
        return 1.0
    scale = np.abs(sums).sum()
    threshold = np.abs(sums.sum()) - 1e-9 * scale  # equal sums must not differ by the order of addition
    if len(sums) <= EXACT_GROUPS:
        signs = (np.arange(1 << len(sums))[:, None] >> np.arange(len(sums)) & 1) * 2.0 - 1
        return float(np.mean(np.abs(signs @ sums) >= threshold))
    how = resampling or Resampling()
    rng = np.random.default_rng([how.seed, 2])
    distinct = _distinct(np.abs(sums))
    if distinct is not None:
        values, count = distinct
        plus = rng.binomial(count, 0.5, size=(how.draws, len(count)))
        flipped = (2 * plus - count) @ values
        return (1 + int(np.count_nonzero(np.abs(flipped) >= threshold))) / (1 + how.draws)
    extreme = 0
    for rows in _chunks(how.draws, len(sums)):
        signs = rng.integers(0, 2, size=(rows, len(sums)), dtype=np.int8) * 2.0 - 1
        extreme += int(np.count_nonzero(np.abs(signs @ sums) >= threshold))
    return (1 + extreme) / (1 + how.draws)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Adjusted p-values, (tests,) in the given order: the chance of even one false claim stays below them.

    Holm (1979): for `p_(1) <= ... <= p_(m)`, `p_(i)` becomes `max_{j <= i} min(1, (m - j + 1) p_(j))`.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def _group_sums(values: np.ndarray, groups: Sequence[str] | None) -> tuple[np.ndarray, np.ndarray]:
    """Sums and sizes of the groups, both (G,) float64, groups in sorted order."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise InputError(
            f"values of shape {values.shape} must be one number per query, for at least one query"
        )
    if not np.isfinite(values).all():
        raise InputError("values must be finite; a measure that is NaN or infinite cannot be compared")
    if groups is None:
        return values, np.ones(len(values))
    if len(groups) != len(values):
        raise InputError(f"{len(groups)} groups were given for {len(values)} queries; give one each")
    names, member = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    sums = np.bincount(member, weights=values, minlength=len(names))
    return sums, np.bincount(member, minlength=len(names)).astype(np.float64)


def _distinct(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Values and how often each occurs, where they are few among many: drawing how many of each is drawing
    each, and a thousand times as fast over 20,000 users who hit or miss. None elsewhere."""
    if len(sums) < MANY:
        return None
    values, count = np.unique(sums, return_counts=True)
    return (values, count) if len(sums) >= OFTEN * len(values) else None


def _resampled_means(sums: np.ndarray, sizes: np.ndarray, rows: int, rng: np.random.Generator) -> np.ndarray:
    picks = rng.integers(len(sums), size=(rows, len(sums)), dtype=np.int32)
    totals = sizes.sum() if np.ptp(sizes) == 0 else sizes[picks].sum(axis=1)
    return np.asarray(sums[picks].sum(axis=1) / totals)


def _chunks(draws: int, width: int) -> Iterator[int]:
    step = max(1, _CELLS // width)
    for start in range(0, draws, step):
        yield min(step, draws - start)
