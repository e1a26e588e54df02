"""Weights whose sum is fixed, made by a solver that autograd need not see: the implicit derivative.

Whenever `w_i = phi(x_i - M)` and M is such that the weights add up to a constant, the Jacobian is
`diag(r) - r r^T / sum(r)` with `r_i = phi'(x_i - M)`: it needs the weights, not the steps that found
them. Soft top-k, sparsemax and entmax are all of this kind. Knows rows of numbers only.
Shapes: n entries of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


def fixed_sum(logits: Tensor, solve: Callable[[Tensor], Tensor], rate: Callable[[Tensor], Tensor]) -> Tensor:
    """`solve(logits)`, differentiable as often as `rate` is, forward and backward, also under `torch.func`.

    Args:
        logits: (..., n) float; -inf marks an entry whose weight is 0.
        solve: (..., n) logits to weights, row by row; runs without gradients.
        rate: weights to `phi'`, entry by entry, in differentiable operations; 0 where nothing moves.

    Returns: (..., n); a row without any rate has gradient 0, never NaN.
    """
    weights: Tensor = _FixedSum.apply(logits, solve, rate)  # type: ignore[no-untyped-call]
    return weights


def _along(rates: Tensor, direction: Tensor) -> Tensor:
    """`r * (g - <r, g> / <r, 1>)`: the Jacobian is symmetric, so forward and backward are the same."""
    pulled = rates * direction
    total = rates.sum(-1, keepdim=True).clamp(min=torch.finfo(rates.dtype).tiny)
    mean = pulled.sum(-1, keepdim=True) / total
    if torch.is_grad_enabled():
        return torch.addcmul(pulled, rates, mean, value=-1)
    return pulled.addcmul_(rates, mean, value=-1)


class _FixedSum(Function):
    @staticmethod
    def forward(
        logits: Tensor, solve: Callable[[Tensor], Tensor], rate: Callable[[Tensor], Tensor]
    ) -> Tensor:
        return solve(logits.detach())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.rate = inputs[2]
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (weights,) = ctx.saved_tensors
        return _along(ctx.rate(weights), gradients[0]), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        (weights,) = ctx.saved_tensors
        return _along(ctx.rate(weights), tangents[0])

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[int | None, ...],
        logits: Tensor,
        solve: Callable[[Tensor], Tensor],
        rate: Callable[[Tensor], Tensor],
    ) -> tuple[Tensor, int]:
        assert in_dims[0] is not None
        return fixed_sum(logits.movedim(in_dims[0], 0), solve, rate), 0
