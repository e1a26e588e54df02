"""Softmax over so many classes that the scores of a batch had better not stand in memory all at once.

Knows states and class vectors only. Shapes: P states, n classes, d dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

AT_ONCE = 1 << 21
"""Scores held at a time: 8 MB, about what a processor keeps near."""


def inner_product_cross_entropy(
    states: Tensor, classes: Tensor, targets: Tensor, *, at_once: int = AT_ONCE
) -> Tensor:
    """`-log softmax_j(state . class_j)[target]`, mean over the states.

    Scores are made block by block and their gradient at once, so memory does not grow with `P * n`; on a
    processor that is three times as fast as the whole matrix (measured: P=1024, n=12101, d=64).

    Args:
        states: (P, d) float.
        classes: (n, d) float.
        targets: (P,) int64.
        at_once: most scores held at a time; at least one state's.

    Returns: () nats; 0 for no state. It can be differentiated once.

    >>> inner_product_cross_entropy(torch.zeros(1, 2), torch.ones(4, 2), torch.tensor([3]))
    tensor(1.3863)
    """
    step = max(1, at_once // max(len(classes), 1))
    starts = range(0, len(states), step)
    blocks = [_Block(slice(at, at + step), slice(0, len(classes))) for at in starts]
    return _in_blocks(states, classes, targets, blocks)


def sibling_cross_entropy(
    states: Tensor, classes: Tensor, starts: Tensor, groups: Tensor, targets: Tensor
) -> Tensor:
    """`-log softmax_j(state . class_j)[target]` over the classes of each state's group, mean over the states.

    One factor of a hierarchical softmax (Morin and Bengio 2005, equation 3): costs `P * n / G` scores in the
    place of `P * n`.

    Args:
        states: (P, d) float.
        classes: (n, d) float, those of a group behind one another.
        starts: (G + 1,) int64: group g has the classes from `starts[g]` to `starts[g + 1]`.
        groups: (P,) int64 group of each state.
        targets: (P,) int64 class of each state, one of its group.

    Returns: () nats; 0 for no state. It can be differentiated once.

    >>> starts = torch.tensor([0, 3, 4])
    >>> sibling_cross_entropy(
    ...     torch.zeros(1, 2), torch.ones(4, 2), starts, torch.tensor([0]), torch.tensor([2])
    ... )
    tensor(1.0986)
    """
    order = groups.argsort(stable=True)
    counts = torch.bincount(groups, minlength=len(starts) - 1)
    ends, bounds = counts.cumsum(0).tolist(), starts.tolist()
    blocks = [
        _Block(slice(end - count, end), slice(bounds[group], bounds[group + 1]))
        for group, (end, count) in enumerate(zip(ends, counts.tolist(), strict=True))
        if count
    ]
    within = (targets - starts[groups])[order]
    return _in_blocks(states[order], classes, within, blocks)


class _Block(NamedTuple):
    """Some states, and the classes they are compared with."""

    states: slice
    classes: slice


def _in_blocks(states: Tensor, classes: Tensor, targets: Tensor, blocks: Sequence[_Block]) -> Tensor:
    """Mean cost of (P,) targets, each counted from the first class of its block."""
    found: Tensor = _InBlocks.apply(states.float(), classes.float(), targets, blocks)  # type: ignore[no-untyped-call]
    return found


class _InBlocks(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, states: Tensor, classes: Tensor, targets: Tensor, blocks: Sequence[_Block]
    ) -> Tensor:
        wanted = any(ctx.needs_input_grad[:2])
        of_states = torch.zeros_like(states) if wanted else None
        of_classes = torch.zeros_like(classes) if wanted else None
        total = states.new_zeros(())
        for rows, columns in blocks:
            block, compared, right = states[rows], classes[columns], targets[rows, None]
            scores = block @ compared.T
            highest = scores.amax(dim=1, keepdim=True)
            positive = scores.gather(1, right)
            shares = scores.sub_(highest).exp_()
            sums = shares.sum(dim=1, keepdim=True)
            total += (sums.log() + highest - positive).sum()
            if of_states is not None and of_classes is not None:
                shares.div_(sums * len(states))
                shares.scatter_add_(1, right, shares.new_full(right.shape, -1 / len(states)))
                of_states[rows] = shares @ compared
                of_classes[columns].addmm_(shares.T, block)
        ctx.save_for_backward(of_states, of_classes)
        return total / max(len(states), 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        of_states, of_classes = ctx.saved_tensors
        return of_states * gradient, of_classes * gradient, None, None
