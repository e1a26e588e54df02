"""Norms: have the vectors of frequent codes grown longer than those of rare ones?

Under a dot product a long code wins more often and grows again; under a cosine its length is free.
Wang et al., 2026 (arXiv 2603.10409), equations 11, 12 and 15. Knows codebooks and counts only.
Shapes: K codes of a level, d dimensions, n documents, m levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from retrograd.errors import InputError


@dataclass(frozen=True, eq=False)
class NormFrequency:
    """Length against use of the codes of one level."""

    level: int
    """From 1 on."""

    used: int
    """Codes with a frequency above 0: the others were never pulled anywhere and are left out."""

    spearman: float
    """Rank correlation of |e_k| with log frequency, in [-1, 1]; NaN where either is constant."""

    norm_spread: float
    """Standard deviation of |e_k| over its mean, over the used codes."""

    norms: np.ndarray = field(repr=False)
    """(K,) float64."""

    frequencies: np.ndarray = field(repr=False)
    """(K,) float64."""


def norm_against_frequency(
    codebooks: Sequence[np.ndarray], codes: np.ndarray, weights: np.ndarray | None = None
) -> tuple[NormFrequency, ...]:
    """One figure per level.

    Args:
        codebooks: one (K, d) matrix per level.
        codes: (n, >= m) code of each document at each level; -1 where its key is shorter.
        weights: (n,) >= 0, how often each document was a target; None counts each once.

    Raises:
        InputError: fewer columns than codebooks, or a code outside its codebook.
    """
    if codes.shape[1] < len(codebooks):
        raise InputError(f"codes of {codes.shape[1]} levels do not fit {len(codebooks)} codebooks")
    found = []
    for level, book in enumerate(codebooks):
        column = codes[:, level]
        if column.max(initial=-1) >= len(book):
            raise InputError(f"level {level + 1} has code {column.max()} but only {len(book)} code vectors")
        there = column >= 0
        chosen = None if weights is None else np.asarray(weights, np.float64)[there]
        frequencies = np.bincount(column[there], chosen, len(book)).astype(np.float64)
        found.append(_figures(level + 1, np.linalg.norm(np.asarray(book, np.float64), axis=1), frequencies))
    return tuple(found)


def spearman(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Rank correlation, ties at their mean rank; NaN where fewer than two differ on either side.

    >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0, 11.0]))
    1.0
    """
    if len(ours) < 2 or np.ptp(ours) == 0 or np.ptp(theirs) == 0:
        return float("nan")
    from scipy.stats import rankdata

    return float(round(np.corrcoef(rankdata(ours), rankdata(theirs))[0, 1], 12))


def _figures(level: int, norms: np.ndarray, frequencies: np.ndarray) -> NormFrequency:
    used = frequencies > 0
    lengths = norms[used]
    return NormFrequency(
        level=level,
        used=int(used.sum()),
        spearman=spearman(lengths, frequencies[used]),
        norm_spread=float(lengths.std() / lengths.mean()) if lengths.any() else 0.0,
        norms=norms,
        frequencies=frequencies,
    )
