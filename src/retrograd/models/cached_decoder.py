"""One decoder step at a time for many beams: the tight half of `blocks.DecoderStack`.

Reads a stack's weights and computes what its `forward` computes, without dropout and without
repeating a prefix. All beams of a row share its memory: keys and values are projected once per
row, and where the memory is short the query and output matrices are folded into them, so that
cross-attention is two small products per step.
Shapes: B rows, S memory slots, A beams of one row, R = B * A, H heads, k head width, I = H * k,
d width, N layers, t tokens so far.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from retrograd.models.blocks import BlockShape, CrossAttention, DecoderStack, activate, padding_bias


class CachedMemory(NamedTuple):
    """What one layer's cross-attention reads."""

    query: Tensor | None
    """(d, I), or None where it is folded into `key`."""

    key: Tensor
    """(B H, k, S), or folded (B, d, H S)."""

    value: Tensor
    """(B H, S, k), or folded (B, H S, d)."""

    out: Tensor
    """(I, d); unused where folded."""


class CachedLayer(NamedTuple):
    """Matrices of one layer and its view of the memory."""

    norms: tuple[Tensor, Tensor, Tensor]
    """(d,) before each sub-layer, times d**0.5."""

    qkv: tuple[Tensor, ...]
    """(d, I) for queries, for keys and for values."""

    out: Tensor
    """(I, d)."""

    memory: CachedMemory
    wide: Tensor
    narrow: Tensor


class DecoderCache(NamedTuple):
    """What a step reads. A value: a step returns the next one, so a prefix may branch."""

    layers: tuple[CachedLayer, ...]
    final_norm: Tensor
    norm_floor: Tensor
    """() what keeps a vector of zeros from being divided by zero."""

    padding: Tensor | None
    """(B, 1, H S) where folded, else (B H, 1, S); -inf at padding. None where there is none."""

    positions: Tensor
    """(depth, depth, 1, H) position bias by query and key."""

    past: tuple[tuple[Tensor, ...], ...]
    """t levels of N layers of (2 R', I): keys, then values, of the R' rows that step had."""

    ancestors: Tensor
    """(t, 2, R) int64: where the keys and the values of each row's prefix stand in `past`."""

    shape: BlockShape

    @property
    def rows(self) -> int:
        """R of the last step, B before the first."""
        return self.ancestors.shape[2]


def start_cache(stack: DecoderStack, memory: Tensor, where: Tensor, depth: int) -> DecoderCache:
    """The cache of B empty prefixes.

    Args:
        memory: (B, S, d).
        where: (B, S) bool, False for padding.
        depth: steps at most.
    """
    shape = stack.shape
    folded = shape.heads * memory.shape[1] <= 2 * shape.width  # beyond, the folded matrices cost more
    padding = None
    if not where.all():
        bias = padding_bias(where)[:, 0]
        padding = bias.repeat(1, 1, shape.heads) if folded else bias.repeat_interleave(shape.heads, dim=0)
    *norms, final_norm = _scaled_norms(stack)
    layers = tuple(
        CachedLayer(
            norms=(norms[3 * at], norms[3 * at + 1], norms[3 * at + 2]),
            qkv=own.qkv.chunk(3, dim=1),
            out=own.out,
            memory=_memory_of(cross, memory, folded),
            wide=feed.wide,
            narrow=feed.out,
        )
        for at, (own, cross, feed) in enumerate(stack.layers())
    )
    return DecoderCache(
        layers=layers,
        final_norm=final_norm,
        norm_floor=torch.tensor((shape.epsilon * shape.width) ** 0.5, device=memory.device),
        padding=padding,
        positions=stack.position_bias(depth).permute(1, 2, 0).unsqueeze(2),
        past=(),
        ancestors=torch.empty(0, 2, len(memory), dtype=torch.int64, device=memory.device),
        shape=shape,
    )


def _scaled_norms(stack: DecoderStack) -> tuple[Tensor, ...]:
    """Norm weights in the order of use, times d**0.5: `x / |x|` then needs no mean."""
    norms = [part.norm.weight for layer in stack.layers() for part in layer]
    scaled: Tensor = torch.stack([*norms, stack.norm.weight]) * stack.shape.width**0.5
    return scaled.unbind(0)


def _memory_of(cross: CrossAttention, memory: Tensor, folded: bool) -> CachedMemory:
    rows, slots, width = memory.shape
    heads = cross.shape.heads
    both = memory.reshape(rows * slots, width) @ cross.key_value  # (B S, 2 I)
    if not folded:
        key, value = both.view(rows, slots, 2, heads, -1).permute(2, 0, 3, 1, 4).flatten(1, 2)
        return CachedMemory(cross.query, key.transpose(1, 2).contiguous(), value, cross.out)
    # key times query matrix, and value times output matrix, head by head: one batch of 2 H products
    matrices = torch.cat([cross.query.t(), cross.out]).view(2 * heads, -1, width)
    products = torch.bmm(both.view(rows * slots, 2 * heads, -1).transpose(0, 1), matrices)
    key, value = products.view(2, heads, rows, slots, width).transpose(1, 2).flatten(2, 3)
    return CachedMemory(None, key.transpose(1, 2), value, cross.out)


def cached_step(cache: DecoderCache, states: Tensor, parent: Tensor | None) -> tuple[Tensor, DecoderCache]:
    """One more token for each row.

    Args:
        states: (R, d) embeddings; the beams of one row of the memory stand together.
        parent: (R,) int64, the row of the previous step each continues; None keeps the rows.

    Returns: (R, d) normed states, and the cache that includes the token.
    """
    gated, heads, floor = cache.shape.activation == "gated_gelu", cache.shape.heads, cache.norm_floor
    rows, steps = len(states), len(cache.past)
    ancestors = cache.ancestors if parent is None else cache.ancestors.index_select(2, parent)
    wanted = ancestors.flatten(1).unbind(0)
    bias = cache.positions[steps, : steps + 1]
    prefix = states.new_empty(steps + 1, 2 * rows, heads * cache.shape.head_width)
    new: list[Tensor] = []
    states = states.clone(memory_format=torch.contiguous_format)  # the layers add to it in place
    for at, layer in enumerate(cache.layers):
        before_own, before_cross, before_feed = layer.norms
        for level, index in enumerate(wanted):
            torch.index_select(cache.past[level][at], 0, index, out=prefix[level])
        mixed = _own_attention(_normed(states, before_own, floor), layer.qkv, prefix, new, bias)
        states.addmm_(mixed, layer.out)
        _add_cross_attention(states, _normed(states, before_cross, floor), layer.memory, cache.padding, heads)
        inner = torch.mm(_normed(states, before_feed, floor), layer.wide)
        states.addmm_(activate(inner, True) if gated else inner.relu_(), layer.narrow)
    own = torch.arange(2 * rows, device=ancestors.device).view(1, 2, rows)
    cache = cache._replace(past=(*cache.past, tuple(new)), ancestors=torch.cat([ancestors, own]))
    return _normed(states, cache.final_norm, floor), cache


def _normed(states: Tensor, weight: Tensor, floor: Tensor) -> Tensor:
    """Root-mean-square norm of (R, d) in fewer passes than the library's; `weight` holds d**0.5."""
    length = torch.linalg.vector_norm(states, dim=1, keepdim=True).hypot_(floor)
    return (states * weight).div_(length)


def _own_attention(
    normed: Tensor, qkv: tuple[Tensor, ...], prefix: Tensor, new: list[Tensor], bias: Tensor
) -> Tensor:
    """(R, d) -> (R, I).

    Args:
        prefix: (t + 1, 2 R, I) keys, then values; the last is written here, and all are used up.
        new: takes a copy of the last.
        bias: (t + 1, 1, H).
    """
    to_query, to_key, to_value = qkv
    length, rows = len(prefix), len(normed)
    key, value = prefix.view(length, 2, rows, -1).unbind(1)
    torch.mm(normed, to_key, out=key[-1])
    torch.mm(normed, to_value, out=value[-1])
    new.append(prefix[-1].clone())
    if length == 1:
        return value[0]
    # a handful of keys per row: elementwise products beat one tiny matrix product per row and head
    key.mul_(torch.mm(normed, to_query))
    by_head = (length, rows, bias.shape[2], -1)
    weight = key.view(by_head).sum(-1).add_(bias).softmax(0)
    return value.view(by_head).mul_(weight.unsqueeze(-1)).sum(0).view(rows, -1)


def _add_cross_attention(
    states: Tensor, normed: Tensor, memory: CachedMemory, padding: Tensor | None, heads: int
) -> None:
    """Adds to (R, d) in place."""
    groups, inner, columns = memory.key.shape
    if memory.query is None:
        weight = _padded(torch.bmm(normed.view(groups, -1, inner), memory.key), padding)
        weight = weight.view(groups, -1, heads, columns // heads).softmax(-1).view_as(weight)
        states.view(groups, -1, inner).baddbmm_(weight, memory.value)
        return
    query = torch.mm(normed, memory.query).view(groups // heads, -1, heads, inner).transpose(1, 2)
    weight = _padded(torch.bmm(query.reshape(groups, -1, inner), memory.key), padding).softmax(-1)
    mixed = torch.bmm(weight, memory.value).view(groups // heads, heads, -1, inner)
    states.addmm_(mixed.transpose(1, 2).reshape(len(states), -1), memory.out)


def _padded(scores: Tensor, padding: Tensor | None) -> Tensor:
    return scores if padding is None else scores.add_(padding)
