"""Agreement: how much of what training computes with is what inference will look up?

A residual quantiser trains on soft, noisy codes and indexes with hard, clean ones. This is that
arithmetic once more in plain arrays, from the formulas of Wang et al., 2026 (arXiv 2603.10409),
equations 6 and 7; no network and no gradient.
Shapes: n vectors, d dimensions, m levels, K codes of a level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrograd.errors import InputError
from retrograd.evaluation.diagnostics.isotropy import unit_rows

_CELLS = 1 << 22
"""Scores held at once: 32 MB of float64."""


@dataclass(frozen=True, kw_only=True)
class Relaxation:
    """How hard codes are softened: `softmax((scale * cos + noise_scale * gumbel) / temperature)`."""

    scale: float | tuple[float, ...] = 30.0
    """Factor on the cosine (or dot product); one number, or one per level."""

    temperature: float = 1.0
    noise_scale: float = 1.0
    """Factor on the Gumbel noise; 0 draws none."""

    cosine: bool = True
    """False compares by the plain dot product."""

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise InputError(f"temperature={self.temperature} must be positive")
        if self.noise_scale < 0:
            raise InputError(f"noise_scale={self.noise_scale} must not be negative")

    def scale_of(self, level: int) -> float:
        """Of a level, counted from 0."""
        return self.scale[level] if isinstance(self.scale, tuple) else self.scale


@dataclass(frozen=True)
class LevelAgreement:
    """One level, over all vectors."""

    level: int
    """From 1 on."""

    noisy_is_clean: float
    """P(argmax with noise = argmax without), on the residual that training has at this level."""

    soft_is_hard: float
    """Share of the vectors whose clean code on training's soft residual is the code of the index, which
    subtracted hard codes; always 1 at level 1."""

    soft_gap: float
    """Mean |soft - hard| / |hard|: the soft code vector against the one of its own clean code."""


@dataclass(frozen=True)
class Agreement:
    """Every level, and the id as a whole."""

    levels: tuple[LevelAgreement, ...]
    same_key: float
    """Share of the vectors whose codes agree at every level."""

    total_gap: float
    """Mean |sum of soft - sum of hard| / |sum of hard|, each on its own path."""


def train_inference_agreement(
    vectors: np.ndarray, codebooks: Sequence[np.ndarray], relaxation: Relaxation, *, seed: int
) -> Agreement:
    """Quantise once as training does and once as the index does, and compare.

    Args:
        vectors: (n, d), n >= 1.
        codebooks: (K, d) per level; summed and subtracted as they are, normalised for scoring only.
        seed: of the noise.

    Raises:
        InputError: no vector, no codebook, or widths that differ.
    """
    points = np.asarray(vectors, np.float64)
    books = [np.asarray(book, np.float64) for book in codebooks]
    if points.ndim != 2 or not len(points) or not books:
        raise InputError(f"vectors of shape {points.shape} and {len(books)} codebooks: give one of each")
    if any(book.ndim != 2 or book.shape[1] != points.shape[1] for book in books):
        shapes = ", ".join(str(book.shape) for book in books)
        raise InputError(f"codebooks of shapes {shapes} do not fit vectors of {points.shape[1]} dimensions")
    rng = np.random.default_rng([seed, 4])
    step = max(1, _CELLS // max(len(book) for book in books))
    parts = [_compare(points[at : at + step], books, relaxation, rng) for at in range(0, len(points), step)]
    figures, same, total = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    means = figures.mean(axis=0)  # (levels, 3)
    levels = tuple(LevelAgreement(number, *row) for number, row in enumerate(means.tolist(), 1))
    return Agreement(levels, float(same.mean()), float(total.mean()))


def _compare(
    points: np.ndarray, books: Sequence[np.ndarray], relaxation: Relaxation, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per vector: (n, m, 3) figures of `LevelAgreement`, (n,) all codes agree, (n,) gap of the sums."""
    soft_residual, hard_residual = points, points
    figures = np.empty((len(points), len(books), 3))
    for level, book in enumerate(books):
        scores = _scores(soft_residual, book, relaxation, level)
        noisy = scores + relaxation.noise_scale * rng.gumbel(size=scores.shape)
        clean = scores.argmax(axis=1)
        index = _scores(hard_residual, book, relaxation, level).argmax(axis=1)
        soft = _softmax(noisy / relaxation.temperature) @ book
        figures[:, level, 0] = noisy.argmax(axis=1) == clean
        figures[:, level, 1] = index == clean
        figures[:, level, 2] = _relative(soft - book[clean], book[clean])
        soft_residual = soft_residual - soft
        hard_residual = hard_residual - book[index]
    total = _relative(hard_residual - soft_residual, points - hard_residual)
    same = np.asarray(figures[:, :, 1].all(axis=1))
    return figures, same, total


def _scores(residual: np.ndarray, book: np.ndarray, relaxation: Relaxation, level: int) -> np.ndarray:
    if relaxation.cosine:
        residual, book = unit_rows(residual), unit_rows(book)
    scores: np.ndarray = relaxation.scale_of(level) * residual @ book.T
    return scores


def _softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    weights: np.ndarray = shifted / shifted.sum(axis=1, keepdims=True)
    return weights


def _relative(gap: np.ndarray, to: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(to, axis=1)
    ratio: np.ndarray = np.linalg.norm(gap, axis=1) / np.where(lengths > 0, lengths, 1.0)
    return ratio
