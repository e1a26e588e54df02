"""A mark on a tensor: its gradient may only be taken while what it was read from is as it was.

Knows a stamp and a way to ask for it again; not what changed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from torch import Tensor
from torch.autograd import Function

Stamp = Callable[[], Hashable]


def guarded(tensor: Tensor, stamp: Stamp) -> Tensor:
    """`tensor` as it is; its backward pass raises RuntimeError once `stamp()` has changed."""
    same: Tensor = _Guard.apply(tensor, stamp, stamp())  # type: ignore[no-untyped-call]
    return same


class _Guard(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(tensor: Tensor, stamp: Stamp, seen: Hashable) -> Tensor:
        return tensor.view_as(tensor)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, ctx.stamp, ctx.seen = inputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        if ctx.stamp() != ctx.seen:
            raise RuntimeError(
                "the memory was written to between the forward and the backward pass, so the gradient would "
                "belong to rows that are no longer there; call backward before add, delete, refresh or an "
                "optimiser's step"
            )
        return gradients[0], None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        tangent: Tensor = tangents[0]
        return tangent.view_as(tangent)
