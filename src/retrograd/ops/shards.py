"""Soft selection over entries that lie in several processes, exact, with a few numbers on the wire.

Every process knows the rows and a share of the entries. It makes the `Part` of its entries, all parts are
exchanged (d + 2 numbers a row and process, whatever the number of entries) and merged. Every process then
holds the same mixture and computes the same loss from it; the gradient of its own entries is exact, and
that of what all processes share is summed by `replicated`. Knows tensors and a process group.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function

from retrograd.ops.aggregate import Part, merge


def merge_shards(own: Part, *, group: Any = None) -> Part:
    """The part of all processes' entries; the same in each, with gradients to `own` alone.

    Args:
        own: the part of this process, of the same shape in all.
        group: a `torch.distributed` group; None for the default one.
    """
    rank, size = dist.get_rank(group), dist.get_world_size(group)
    packed = torch.cat([own.largest.unsqueeze(-1), own.total.unsqueeze(-1), own.summed], -1).detach()
    gathered = [torch.empty_like(packed) for _ in range(size)]
    dist.all_gather(gathered, packed.contiguous(), group=group)
    parts = [Part(other[..., 0], other[..., 1], other[..., 2:]) for other in gathered]
    parts[rank] = own
    return merge(parts)


def replicated(shared: Tensor, *, group: Any = None) -> Tensor:
    """`shared` as it is; its gradient is the sum of those of all processes (Shoeybi et al. 2019, figure 3).

    For what is the same everywhere (the rows, a temperature) and is compared with entries that are not.
    """
    same: Tensor = _Replicated.apply(shared, group)  # type: ignore[no-untyped-call]
    return same


class _Replicated(Function):
    @staticmethod
    def forward(ctx: Any, shared: Tensor, group: Any) -> Tensor:
        ctx.group = group
        return shared.view_as(shared)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total, group=ctx.group)
        return total, None
