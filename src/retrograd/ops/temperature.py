"""A temperature that is learnt, kept between two bounds, or lowered as training goes on."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function


class Temperature(nn.Module):
    """A positive number whose logarithm is learnt.

    It stays within its bounds; a gradient that would push it out is dropped, one that leads back in is
    kept, so it never sticks to a bound.

    >>> float(Temperature(init=0.5)().detach())
    0.5
    """

    def __init__(self, init: float = 0.1, low: float = 0.01, high: float = 1.0) -> None:
        super().__init__()
        if not 0 < low <= init <= high < math.inf:
            raise ValueError(f"init={init} must lie between low={low} and high={high}, all above 0")
        self.low, self.high = low, high
        self.log_value = nn.Parameter(torch.tensor(math.log(init)))

    def forward(self) -> Tensor:
        """() the temperature."""
        inside: Tensor = _ClampInward.apply(self.log_value, math.log(self.low), math.log(self.high))  # type: ignore[no-untyped-call]
        return inside.exp()

    @torch.no_grad()
    def anneal(self, rate: float) -> None:
        """Multiply it by `rate`, as far as its bounds allow."""
        if not rate > 0:
            raise ValueError(f"rate={rate} must be above 0")
        self.log_value.add_(math.log(rate)).clamp_(math.log(self.low), math.log(self.high))


class _ClampInward(Function):
    """A clamp whose gradient is 0 only where descent would lead further out."""

    @staticmethod
    def forward(value: Tensor, low: float, high: float) -> Tensor:
        return value.clamp(low, high)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        value, ctx.low, ctx.high = inputs
        ctx.save_for_backward(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (value,) = ctx.saved_tensors
        out = ((value <= ctx.low) & (gradients[0] > 0)) | ((value >= ctx.high) & (gradients[0] < 0))
        return gradients[0].masked_fill(out, 0.0), None, None
