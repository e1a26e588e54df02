"""Gradients: how large, how even and how sure they were while a system learnt.

Reads the norms that the training loop wrote and compares gradient vectors that a caller drew; computes
no gradient of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrograd.errors import InputError
from retrograd.evaluation.diagnostics.isotropy import mean_cosine
from retrograd.evaluation.training_log import TrainingLog, read_training_log

NORM = "gradient norm"
"""What a training log calls it."""

WARMUP = 0.06
"""Share of a stage that counts as warm-up and is left out: everything spikes there."""

SPIKE = 5.0
"""A norm this many times the median is a spike."""


@dataclass(frozen=True)
class GradientSummary:
    """Norms of one stage before clipping, after warm-up; each is the mean of a few steps of the log."""

    stage: str
    points: int
    mean: float
    median: float
    variance: float
    largest: float
    largest_step: float
    """Counted over all stages."""

    spikes: tuple[float, ...]
    """Steps whose norm is above `SPIKE` medians."""


def gradient_summary(log: Path | TrainingLog, *, warmup: float = WARMUP) -> tuple[GradientSummary, ...]:
    """One summary per stage that logged gradient norms; () where none did.

    Args:
        log: a `metrics.jsonl`, or what was read of it.
        warmup: share of each stage's steps that is left out, in [0, 1).

    Raises:
        InputError: a share outside its range, or whatever `read_training_log` refuses.
    """
    if not 0 <= warmup < 1:
        raise InputError(f"warmup={warmup} must be in [0, 1)")
    read = read_training_log(log) if isinstance(log, Path) else log
    begins = [start for _, start in read.stages]
    found = []
    for curve in read.gradients.get(NORM, []):
        at = max(number for number, begin in enumerate(begins) if begin < curve.steps[-1])
        steps, norms = np.array(curve.steps), np.array(curve.values)
        kept = steps > begins[at] + warmup * (steps[-1] - begins[at])
        found.append(_summary(read.stages[at][0], steps[kept], norms[kept]))
    return tuple(found)


def _summary(stage: str, steps: np.ndarray, norms: np.ndarray) -> GradientSummary:
    top = int(norms.argmax())
    return GradientSummary(
        stage=stage,
        points=len(norms),
        mean=float(norms.mean()),
        median=float(np.median(norms)),
        variance=float(norms.var()),
        largest=float(norms[top]),
        largest_step=float(steps[top]),
        spikes=tuple(steps[norms > SPIKE * np.median(norms)].tolist()),
    )


@dataclass(frozen=True)
class GradientDraws:
    """One gradient under several draws of the noise."""

    draws: int
    mean_cosine: float
    """Over pairs of draws; 1 = the noise does not matter, 0 = it decides alone."""

    relative_deviation: float
    """sqrt(mean |g - mean g|^2) / |mean g|."""

    relative_bias: float
    """|mean g - reference| / |reference|; NaN without a reference."""


def gradient_draws(
    gradients: Sequence[np.ndarray] | np.ndarray, reference: np.ndarray | None = None
) -> GradientDraws:
    """Compare draws of a gradient with each other, and their mean with a reference (finite differences).

    Args:
        gradients: at least two, each flattened to (parameters,).
        reference: (parameters,) what an unbiased estimator would have as its mean.

    Raises:
        InputError: fewer than two draws, lengths that differ, or a number that is not finite.

    >>> gradient_draws([np.array([1.0, 0.0]), np.array([0.0, 1.0])]).mean_cosine
    0.0
    """
    if len(gradients) < 2 or len({np.size(gradient) for gradient in gradients}) > 1:
        raise InputError(f"{len(gradients)} gradients: give at least two, all of one length")
    drawn = np.stack([np.ravel(gradient).astype(np.float64) for gradient in gradients])
    if not np.isfinite(drawn).all():
        raise InputError("a gradient holds a number that is not finite")
    mean = drawn.mean(axis=0)
    size = float(np.linalg.norm(mean))
    deviation = float(np.sqrt(((drawn - mean) ** 2).sum(axis=1).mean()))
    bias = float("nan")
    if reference is not None:
        wanted = np.ravel(reference).astype(np.float64)
        if wanted.shape != mean.shape:
            raise InputError(f"a reference of {wanted.size} numbers does not fit gradients of {mean.size}")
        bias = float(np.linalg.norm(mean - wanted) / np.linalg.norm(wanted)) if wanted.any() else float("nan")
    return GradientDraws(len(drawn), mean_cosine(drawn), deviation / size if size else float("inf"), bias)
