"""Estimators: which ways to a gradient through a choice of codes are right on a problem one can solve?

One vector, one codebook, any loss of the code: small enough for finite differences to know the answer.
A diagnostic of methods, not of a system.
Shapes: d dimensions, K codes, n draws of the noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrograd.errors import InputError
from retrograd.evaluation.diagnostics.agreement import Relaxation
from retrograd.evaluation.diagnostics.gradients import GradientDraws, gradient_draws

ESTIMATORS = ("soft", "hard", "straight_through", "score_function")
"""`soft`: through the relaxed code; `hard`: the code drawn, with the gradient of the relaxed one (Jang et
al. 2017, arXiv 1611.01144); `straight_through`: the code drawn, as if it were the vector itself (Bengio et
al. 2013, arXiv 1308.3432); `score_function`: its loss, less the mean of the others', times the gradient of
its log-probability (REINFORCE, Williams 1992)."""

OBJECTIVES = ("surrogate", "expectation")
"""`surrogate`: mean loss of the relaxed code; `expectation`: mean loss of the code drawn."""

STEP = 1e-5
"""Of the finite differences, on either side."""

Loss = Callable[[Any], Any]
"""(n, d) float64 tensor of codes -> (n,) losses, differentiable."""


@dataclass(frozen=True)
class EstimatorBias:
    """One estimator against the gradient of one objective."""

    estimator: str
    objective: str
    bias: float
    """|mean estimate - gradient| / |gradient|."""

    standard_error: float
    """Of that mean, in the same unit: a bias of this size may be chance. The surrogate's gradient is
    taken under the same noise, so `soft` has less chance in it than this says."""

    draws: GradientDraws


def estimator_bias(
    vector: np.ndarray,
    codebook: np.ndarray,
    loss: Loss,
    relaxation: Relaxation | None = None,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[EstimatorBias, ...]:
    """Every estimator of the gradient with respect to `vector`, against both objectives.

    Args:
        vector: (d,).
        codebook: (K, d).
        loss: of codes, hard or relaxed.
        relaxation: how codes are scored and softened, with its noise whole; None for the usual one.
        draws: n, at least 2.
        seed: of the noise.

    Raises:
        InputError: shapes that do not fit, fewer than two draws, or noise that is not whole (what is
            drawn would not follow the softmax of the scores).
    """
    import torch

    from retrograd.ops.gumbel import gumbel_noise

    relaxation = relaxation or Relaxation()
    point, book = (torch.tensor(np.asarray(part, np.float64)) for part in (vector, codebook))
    if point.ndim != 1 or book.ndim != 2 or book.shape[1] != len(point) or draws < 2:
        raise InputError(
            f"a vector of shape {tuple(point.shape)}, codes of {tuple(book.shape)}, {draws} draws: "
            "give (d,), (K, d) and at least 2"
        )
    if relaxation.noise_scale != 1:
        raise InputError(f"noise_scale={relaxation.noise_scale} must be 1 here")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        noise = gumbel_noise(point.new_zeros(draws, len(book)))
    problem = _Problem(book, loss, relaxation, noise)
    references = {
        "surrogate": finite_differences(problem.surrogate, point),
        "expectation": finite_differences(problem.expectation, point),
    }
    found = []
    for estimator in ESTIMATORS:
        gradients = problem.gradients(estimator, point)
        for objective in OBJECTIVES:
            found.append(_against(references[objective], gradients, estimator, objective))
    return tuple(found)


def finite_differences(function: Loss, at: Any) -> np.ndarray:
    """Central differences of a function of (d,) float64 tensors: (d,) float64."""
    import torch

    steps = STEP * torch.eye(len(at), dtype=at.dtype)
    with torch.no_grad():
        return np.array([float(function(at + step) - function(at - step)) / (2 * STEP) for step in steps])


def _against(reference: np.ndarray, gradients: np.ndarray, estimator: str, objective: str) -> EstimatorBias:
    draws = gradient_draws(gradients, reference)
    spread = float(np.sqrt(gradients.var(axis=0).sum() / len(gradients)))
    length = float(np.linalg.norm(reference))
    error = spread / length if length else float("nan")
    return EstimatorBias(estimator, objective, draws.relative_bias, error, draws)


@dataclass(frozen=True, eq=False)
class _Problem:
    """The two objectives and the four estimators, as tensors."""

    book: Any
    loss: Loss
    relaxation: Relaxation
    noise: Any
    """(n, K) Gumbel."""

    def scores(self, points: Any) -> Any:
        from torch.nn.functional import normalize

        book = self.book
        if self.relaxation.cosine:
            points, book = normalize(points, dim=-1), normalize(book, dim=-1)
        return self.relaxation.scale_of(0) * points @ book.T

    def relaxed(self, points: Any) -> Any:
        """One relaxed code per draw, (n, d)."""
        noisy = self.scores(points) + self.noise
        return (noisy / self.relaxation.temperature).softmax(dim=-1) @ self.book

    def surrogate(self, point: Any) -> Any:
        return self.loss(self.relaxed(point)).mean()

    def expectation(self, point: Any) -> Any:
        return (self.scores(point).softmax(dim=-1) * self.loss(self.book)).sum()

    def gradients(self, estimator: str, point: Any) -> np.ndarray:
        """(n, d), one per draw."""
        import torch

        points = point.expand(len(self.noise), -1).clone().requires_grad_()
        scores = self.scores(points)
        chosen = (scores + self.noise).argmax(dim=-1)
        if estimator == "score_function":
            losses = self.loss(self.book)[chosen].detach()
            others = (losses.sum() - losses) / (len(losses) - 1)
            likelihood = scores.log_softmax(dim=-1).gather(1, chosen.unsqueeze(1)).squeeze(1)
            values = (losses - others) * likelihood
        else:
            through = points if estimator == "straight_through" else self.relaxed(points)
            drawn = through + (self.book[chosen] - through).detach()
            values = self.loss(through if estimator == "soft" else drawn)
        (gradients,) = torch.autograd.grad(values.sum(), points)
        array: np.ndarray = gradients.numpy()
        return array
