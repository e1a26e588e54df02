"""Weighted values, and softmax mixtures that are put together from parts.

A softmax over many entries is three numbers a part: the largest logit, `sum exp` and `sum exp * value`
relative to it. Parts merge exactly, in any order, forward and backward, so entries may lie anywhere.
Knows weights, logits and values. Shapes: K entries of a row, d dimensions of a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


def aggregate(weights: Tensor, values: Tensor, *, where: Tensor | None = None) -> Tensor:
    """`sum_i w_i v_i`.

    Args:
        weights: (..., K) float.
        values: (..., K, d) float, or (K, d) shared by all rows.
        where: (..., K) bool, False for padding, whose weights and values are never looked at.

    Returns: (..., d); 0 where a row has no entry.

    >>> aggregate(torch.tensor([0.5, 0.5]), torch.tensor([[2.0, 0.0], [0.0, 2.0]]))
    tensor([1., 1.])
    """
    if where is not None:
        weights = weights.masked_fill(~where, 0.0)
        values = values.masked_fill(~where.unsqueeze(-1), 0.0)
    if values.dim() == 2:
        return weights @ values
    return (weights.unsqueeze(-2) @ values).squeeze(-2)


class Part(NamedTuple):
    """The softmax mixture of some entries, ready to be merged with that of others."""

    largest: Tensor
    """(...) the largest logit, without gradient; -inf for no entry."""

    total: Tensor
    """(...) `sum exp(logit - largest)`."""

    summed: Tensor
    """(..., d) `sum exp(logit - largest) * value`."""

    def mean(self) -> Tensor:
        """(..., d) the mixture; 0 where there is no entry."""
        empty = self.total == 0
        return self.summed / self.total.masked_fill(empty, 1.0).unsqueeze(-1)

    def log_total(self) -> Tensor:
        """(...) `log sum exp(logit)`; -inf where there is no entry."""
        empty = self.total == 0
        return (self.largest + self.total.masked_fill(empty, 1.0).log()).masked_fill(empty, -torch.inf)


def part(logits: Tensor, values: Tensor, *, where: Tensor | None = None) -> Part:
    """The part that some entries make.

    Args:
        logits: (..., K) float; -inf for entries that do not count.
        values: (..., K, d) float, or (K, d) shared by all rows.
        where: (..., K) bool, False for padding.
    """
    if where is not None:
        logits = logits.masked_fill(~where, -torch.inf)
    if not logits.shape[-1]:
        nothing = logits.new_zeros(logits.shape[:-1])
        return Part(nothing - torch.inf, nothing, aggregate(logits, values))
    largest = logits.detach().amax(-1)
    weights = (logits - _finite(largest).unsqueeze(-1)).exp()
    return Part(largest, weights.sum(-1), aggregate(weights, values, where=where))


def merge(parts: Sequence[Part]) -> Part:
    """One part of several, as if their entries had been together from the start.

    >>> two = [part(torch.tensor([s]), torch.tensor([[v]])) for s, v in ((0.0, 1.0), (0.0, 3.0))]
    >>> merge(two).mean()
    tensor([2.])
    """
    largest = torch.stack([one.largest for one in parts]).amax(0)
    scales = [(one.largest - _finite(largest)).exp() for one in parts]
    total = sum(scale * one.total for scale, one in zip(scales, parts, strict=True))
    summed = sum(scale.unsqueeze(-1) * one.summed for scale, one in zip(scales, parts, strict=True))
    assert isinstance(total, Tensor)
    assert isinstance(summed, Tensor)
    return Part(largest, total, summed)


def _finite(largest: Tensor) -> Tensor:
    """0 for -inf: what has no entry has no weight, whatever it is compared with."""
    return largest.masked_fill(largest == -torch.inf, 0.0)
