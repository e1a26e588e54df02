"""Scores to weights: one door to every way of choosing some of many.

The table `HOW` is the truth about which ways there are. Knows scores and weights; neither what is chosen
nor what the weights will weigh. Shapes: n entries of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from retrograd.ops.entmax import entmax
from retrograd.ops.gumbel import gumbel_topk
from retrograd.ops.masks import cleared, masked
from retrograd.ops.soft_topk import soft_topk
from retrograd.ops.straight_through import hard_topk, straight_through
from retrograd.ops.temperature import Temperature


@dataclass(frozen=True, kw_only=True)
class Selection:
    """One way of choosing."""

    weights: Callable[[Tensor, _Options], Tensor]
    chooses_k: bool
    """Its weights add up to k, and it wants a k; else they add up to 1."""

    smooth: bool
    """The gradient is that of the forward value."""


@dataclass(frozen=True, kw_only=True)
class _Options:
    temperature: float | Tensor
    k: int
    alpha: float
    where: Tensor | None
    generator: torch.Generator | None


def _softmax(scores: Tensor, by: _Options) -> Tensor:
    return cleared(masked(scores / by.temperature, by.where).softmax(-1), by.where)


def _entmax(scores: Tensor, by: _Options) -> Tensor:
    return entmax(scores / by.temperature, alpha=by.alpha, where=by.where)


def _sparsemax(scores: Tensor, by: _Options) -> Tensor:
    return entmax(scores / by.temperature, alpha=2.0, where=by.where)


def _soft_topk(scores: Tensor, by: _Options) -> Tensor:
    return soft_topk(scores, by.k, temperature=by.temperature, where=by.where)


def _gumbel_topk(scores: Tensor, by: _Options) -> Tensor:
    return gumbel_topk(scores, by.k, temperature=by.temperature, where=by.where, generator=by.generator)


def _straight_through(scores: Tensor, by: _Options) -> Tensor:
    return straight_through(_hard(scores, by), _soft_topk(scores, by))


def _hard(scores: Tensor, by: _Options) -> Tensor:
    return hard_topk(scores, by.k, where=by.where)


HOW: dict[str, Selection] = {
    "softmax": Selection(weights=_softmax, chooses_k=False, smooth=True),
    "sparsemax": Selection(weights=_sparsemax, chooses_k=False, smooth=True),
    "entmax": Selection(weights=_entmax, chooses_k=False, smooth=True),
    "soft_topk": Selection(weights=_soft_topk, chooses_k=True, smooth=True),
    "gumbel_topk": Selection(weights=_gumbel_topk, chooses_k=True, smooth=True),
    "straight_through": Selection(weights=_straight_through, chooses_k=True, smooth=False),
    "hard": Selection(weights=_hard, chooses_k=True, smooth=False),
}


def select(
    scores: Tensor,
    *,
    how: str = "softmax",
    temperature: float | Tensor | Temperature = 1.0,
    k: int | None = None,
    alpha: float = 1.5,
    where: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Weights of the entries of each row.

    All but `hard` and `straight_through` are smooth in scores and temperature, and all become a hard choice
    as the temperature goes to 0. `straight_through` is `hard` with the gradient of `soft_topk`.

    Args:
        scores: (..., n) float; half precision is raised to float32. -inf gets weight 0.
        how: a key of `HOW`.
        temperature: above 0; a tensor broadcasts to `scores` and gets a gradient.
        k: entries to choose, at least 1; for the ways that choose k, whose weights add up to it.
        alpha: for `entmax`, at least 1.
        where: (..., n) bool, False for entries that get weight 0 and no gradient.
        generator: draws the noise of `gumbel_topk`.

    Returns: (..., n) in [0, 1], adding up to 1 or to k; a row without allowed entries is 0 throughout.

    Raises:
        ValueError: an unknown way, a k that is missing, below 1 or of no use, a temperature not above 0.

    >>> select(torch.tensor([2.0, 1.0, 0.0]), where=torch.tensor([True, True, False]))
    tensor([0.7311, 0.2689, 0.0000])
    >>> select(torch.tensor([2.0, 1.0, 0.0]), how="hard", k=2)
    tensor([1., 1., 0.])
    """
    if how not in HOW:
        raise ValueError(f"how={how!r}; choose one of {', '.join(HOW)}")
    selection = HOW[how]
    if selection.chooses_k != (k is not None):
        keyed = ", ".join(name for name, way in HOW.items() if way.chooses_k)
        raise ValueError(f"how={how!r} with k={k}: k belongs to {keyed}, and to no other")
    if k is not None and k < 1:
        raise ValueError(f"k={k} must be at least 1")
    tau: float | Tensor = temperature() if isinstance(temperature, Temperature) else temperature
    if not isinstance(tau, Tensor) and not tau > 0:
        raise ValueError(f"temperature={tau} must be above 0")
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    options = _Options(temperature=tau, k=k or 0, alpha=alpha, where=where, generator=generator)
    return selection.weights(scores, options)
