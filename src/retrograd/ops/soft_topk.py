"""Soft top-k: weights between 0 and 1 that add up to k, smooth in every logit, in O(n).

Each entry passes a sigmoid, and one threshold a row makes the row add up to k: the capacity form of a
top-k. The threshold is found by a safeguarded Newton iteration; it starts where the threshold of every
few-th entry lies, or, for a sharp selection, that of the largest entries. The derivative is implicit
(`fixed_sum`). Knows rows of numbers only.
Shapes: n entries of a row, R rows.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from retrograd.ops.fixed_sum import fixed_sum

_SAMPLE = 512
"""About as many entries of a row tell how sharp the selection is, and where a broad one lies."""

_SHARP = 0.2
"""Below this `sum w (1 - w) / k` the largest entries tell the threshold better than a sample does."""

_LEAST = -40.0
"""Weights below `exp(-40)` are not told apart: squares of still smaller ones would be denormal, and slow."""

_SMALL = 8.0
"""A threshold below this is known well enough as one number."""

_FAR = 64.0
"""A threshold further than this from where it is counted from is known too coarsely."""

_MOST_STEPS = 200
"""Bisection alone is through after 150; only rows with NaN get here."""


def soft_topk(
    scores: Tensor, k: float, *, temperature: float | Tensor = 1.0, where: Tensor | None = None
) -> Tensor:
    """`w_i = sigmoid(s_i / temperature - M)` with the M for which `sum w = k`.

    The derivative in `s / temperature` is `r * (g - <r, g> / <r, 1>)` with `r = w (1 - w)`. As the
    temperature goes to 0 this becomes 1 for the k largest and 0 for the others; entries that tie for the
    last places share them. The binary-entropy relaxation of top-k (Amos et al. 2019, "The Limited
    Multi-Label Projection Layer", arXiv:1906.08707, equation 2).

    Args:
        scores: (..., n) float32 or float64; -inf has weight 0.
        k: above 0; need not be whole.
        temperature: above 0, or a tensor that broadcasts to `scores` and gets a gradient.
        where: (..., n) bool, False for entries that get weight 0 and no gradient.

    Returns: (..., n) in [0, 1]. A row of no more than k allowed entries gives each of them 1.

    Raises:
        ValueError: k or the temperature is not above 0.

    >>> soft_topk(torch.tensor([3.0, 3.0, -30.0, 1.0]), 2)
    tensor([8.1401e-01, 8.1401e-01, 2.0390e-14, 3.7198e-01])
    """
    if not k > 0:
        raise ValueError(f"k={k} must be above 0")
    if isinstance(temperature, Tensor):
        scores, temperature = scores / temperature, 1.0
    if not temperature > 0:
        raise ValueError(f"temperature={temperature} must be above 0")
    if where is not None:
        scores = scores.masked_fill(~where, -torch.inf)
    scale = 1.0 / temperature
    return fixed_sum(scores, lambda rows: _weights(rows, k, scale), lambda weights: _rates(weights, scale))


def _rates(weights: Tensor, scale: float = 1.0) -> Tensor:
    """`w (1 - w) * scale` in one pass, without squares that leave the range of floats."""
    scales = torch.full((), scale, dtype=weights.dtype, device=weights.device).expand_as(weights)
    rates: Tensor = torch.ops.aten.sigmoid_backward(scales, weights)
    return rates


def _weights(scores: Tensor, k: float, scale: float) -> Tensor:
    if not scores.numel():
        return torch.zeros_like(scores)
    slates = _slates(scores.reshape(-1, scores.shape[-1]), k, scale)
    weights = _solve(slates, *_start(slates))[0]
    if bool((slates.full | (slates.allowed < scores.shape[-1])).any()):
        weights = weights.masked_fill(slates.full, 1.0).masked_fill(slates.rows == -torch.inf, 0.0)
    return weights.reshape(scores.shape)


class _Slates(NamedTuple):
    """What is to be solved. (R, 1) each but `rows`; thresholds and logits are scores times `scale`."""

    rows: Tensor
    """(R, n) scores."""

    k: float
    scale: float
    least: Tensor
    """The smallest score that is not -inf."""

    most: Tensor
    allowed: Tensor
    """Scores that are not -inf; at least a little more than k."""

    full: Tensor
    """Rows with no more than k of them, whose threshold means nothing."""

    @property
    def offset(self) -> Tensor:
        """How far above a logit the threshold would lie if all logits were equal to it."""
        return (self.allowed / self.k - 1).log_()


def _slates(rows: Tensor, k: float, scale: float) -> _Slates:
    least, most = rows.amin(-1, keepdim=True), rows.amax(-1, keepdim=True)
    count = torch.full_like(least, rows.shape[-1])
    if bool((least == -torch.inf).any()):
        absent = rows == -torch.inf
        count -= absent.sum(-1, keepdim=True)
        least = rows.masked_fill(absent, torch.inf).amin(-1, keepdim=True)
        least, most = (x.masked_fill(count == 0, 0.0) for x in (least, most))
    full = count <= k
    return _Slates(rows, k, scale, least, most, count.masked_fill(full, k + 1), full)


def _solve(slates: _Slates, near: Tensor, shift: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, near and shift: Newton on `logit(sum w / count)`, a straight line where logits are equal.

    A step that leaves the bracket, or is longer than half the last but one, gives way to a bisection.
    Rows that are done stand still, so what else is in a batch does not matter. Thresholds are
    `near * scale + shift`, `near` (R, 1) being a score, so that large scores cost no digits.
    """
    k, count, scale, offset = slates.k, slates.allowed, slates.scale, slates.offset
    low, high = (slates.least - near) * scale + offset, (slates.most - near) * scale + offset
    shift = torch.minimum(torch.maximum(shift, low), high)
    before = last = high - low
    precision = torch.finfo(shift.dtype).eps
    weights, odds = torch.empty_like(slates.rows), (count - k) / k
    form = _form(slates, near)
    for _ in range(_MOST_STEPS):
        _sigmoid(slates, near, shift, form, out=weights)
        total = weights.sum(-1, keepdim=True)
        excess = total - k
        done = excess.abs() <= 16 * precision * k
        if bool(done.all()):
            break
        low, high = torch.where(excess > 0, shift, low), torch.where(excess < 0, shift, high)
        step = _newton(weights, total, odds, count)
        target = shift + step
        kept = (target > low) & (target < high) & (2 * step.abs() <= before)
        step = torch.where(kept, step, (low + high) / 2 - shift).masked_fill_(done, 0.0)
        if bool((step.abs() <= precision * shift.abs()).all()):
            if float(shift.abs().amax()) <= _FAR:
                break
            # As close as a shift this large can tell: count from here instead.
            near, low, high, shift = near + shift / scale, low - shift - 1, high - shift + 1, shift * 0
            before, last, form = high - low, high - low, _form(slates, near)
            continue
        before, last, shift = last, step.abs(), shift + step
    return weights, near, shift


def _form(slates: _Slates, near: Tensor) -> tuple[bool, bool]:
    """Whether thresholds about here are small enough to be one number, and whether weights may be tiny."""
    small = float(near.abs().amax()) * slates.scale < _SMALL
    return small, float((slates.least - near).amin()) * slates.scale < _LEAST + 8


def _sigmoid(slates: _Slates, near: Tensor, shift: Tensor, form: tuple[bool, bool], out: Tensor) -> None:
    """`sigmoid(scale * (rows - near) - shift)`, in one pass less where that loses no digits."""
    small, tiny = form
    if small:
        torch.add(torch.sub(-shift, near, alpha=slates.scale), slates.rows, alpha=slates.scale, out=out)
    else:
        torch.add(-shift, torch.sub(slates.rows, near, out=out), alpha=slates.scale, out=out)
    if tiny:
        out.clamp_(min=_LEAST)
    out.sigmoid_()


def _newton(weights: Tensor, total: Tensor, odds: Tensor, count: Tensor) -> Tensor:
    """The step; `sum w (1 - w)` is the difference of two sums, good enough for a direction."""
    rest = count - total
    norm: Tensor = torch.linalg.vector_norm(weights, dim=-1, keepdim=True)
    rate = (total - norm.square_()).mul_(count)
    return (total * odds).div_(rest).log_().mul_(total).mul_(rest).div_(rate)


def _start(slates: _Slates) -> tuple[Tensor, Tensor]:
    """(near, shift) of the threshold of every few-th score; for a sharp selection of the largest scores."""
    rows, k, scale = slates.rows, slates.k, slates.scale
    n, stride = rows.shape[-1], max(rows.shape[-1] // _SAMPLE, 1)
    sample, share = rows[:, ::stride], k / stride
    near = sample.topk(min(math.ceil(share), sample.shape[-1]), -1).values[:, -1:]
    near = torch.minimum(torch.maximum(near, slates.least), slates.most)
    shift, logits = torch.zeros_like(near), (sample - near).mul_(scale)
    count = torch.maximum(slates.allowed / stride, torch.full_like(near, share + 1 / stride))
    largest = 2 * math.ceil(k) + 1
    for step in range(3):
        weights = (logits - shift).clamp_(min=_LEAST).sigmoid_()
        if not step and largest < n and float(_rates(weights).sum()) < _SHARP * share * len(rows):
            top = _largest(rows, largest)
            edges = -_largest(-_largest(top, math.ceil(k) + 1), 2)  # between them lies the threshold
            near = torch.maximum(edges.mean(-1, keepdim=True), slates.least)
            return _solve(_slates(top, k, scale), near, shift)[1:]
        change = _newton(weights, weights.sum(-1, keepdim=True), (count - share) / share, count)
        shift = shift + change.nan_to_num_(0.0, 0.0, 0.0)
    return near, shift


def _largest(rows: Tensor, count: int) -> Tensor:
    """The largest scores of each row, (R, count), in any order; numpy's partition is several times faster."""
    if rows.device.type != "cpu":
        return rows.topk(count, -1, sorted=False).values
    cut = rows.shape[-1] - count
    return torch.from_numpy(np.partition(rows.numpy(), cut, axis=-1))[:, cut:]
