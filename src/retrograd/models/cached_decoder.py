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

    qkv: Tensor
    """(d, 3 I)."""

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

    padding: Tensor
    """(B, 1, H S) where folded, else (B H, 1, S); -inf at padding."""

    positions: Tensor
    """(depth, depth, 1, H) position bias by query and key."""

    past: Tensor
    """(t, N, R, 2, H, k) keys and values of the tokens so far."""

    shape: BlockShape


def start_cache(stack: DecoderStack, memory: Tensor, where: Tensor, depth: int) -> DecoderCache:
    """The cache of B empty prefixes.

    Args:
        memory: (B, S, d).
        where: (B, S) bool, False for padding.
        depth: steps at most.
    """
    shape = stack.shape
    folded = shape.heads * memory.shape[1] <= 2 * shape.width  # beyond, the folded matrices cost more
    bias = padding_bias(where)[:, 0]
    padding = bias.repeat(1, 1, shape.heads) if folded else bias.repeat_interleave(shape.heads, dim=0)
    *norms, final_norm = _scaled_norms(stack)
    layers = tuple(
        CachedLayer(
            norms=(norms[3 * at], norms[3 * at + 1], norms[3 * at + 2]),
            qkv=own.qkv,
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
        past=memory.new_empty(0, shape.layers, len(memory), 2, shape.heads, shape.head_width),
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
    past = _continued(cache.past, parent, len(states))
    bias = cache.positions[len(past) - 1, : len(past)]
    for layer, own in zip(cache.layers, past.unbind(1), strict=True):
        before_own, before_cross, before_feed = layer.norms
        mixed = _own_attention(_normed(states, before_own, floor), layer.qkv, own, bias)
        states = torch.addmm(states, mixed, layer.out)
        normed = _normed(states, before_cross, floor)
        states = _cross_attention(states, normed, layer.memory, cache.padding, heads)
        inner = torch.mm(_normed(states, before_feed, floor), layer.wide)
        inner = activate(inner, True) if gated else inner.relu_()
        states = torch.addmm(states, inner, layer.narrow)
    return _normed(states, cache.final_norm, floor), cache._replace(past=past)


def _normed(states: Tensor, weight: Tensor, floor: Tensor) -> Tensor:
    """Root-mean-square norm of (R, d) in fewer passes than the library's; `weight` holds d**0.5."""
    length = torch.linalg.vector_norm(states, dim=1, keepdim=True).hypot_(floor)
    return (states * weight).div_(length)


def _continued(past: Tensor, parent: Tensor | None, rows: int) -> Tensor:
    """(t + 1, N, R, 2, H, k): the parents' past and room for one more token."""
    length, layers, before, *rest = past.shape
    longer = past.new_empty(length + 1, layers, rows, *rest)
    if parent is None:
        longer[:length] = past
    elif length:
        block = torch.arange(0, length * layers * before, before, device=past.device)
        wanted = (block.unsqueeze(1) + parent).view(-1)
        torch.index_select(past.flatten(0, 2), 0, wanted, out=longer[:length].flatten(0, 2))
    return longer


def _own_attention(normed: Tensor, qkv: Tensor, past: Tensor, bias: Tensor) -> Tensor:
    """(R, d) -> (R, I); writes the last of `past` (t, R, 2, H, k). `bias`: (t, 1, H)."""
    query, *new = torch.mm(normed, qkv).view(len(normed), 3, *past.shape[3:]).unbind(1)
    key, value = past.unbind(2)
    key[-1], value[-1] = new
    if len(past) == 1:
        return new[1].flatten(1)
    # a handful of keys per row: elementwise products beat one tiny matrix product per row and head
    weight = (key * query).sum(-1).add_(bias).softmax(0)
    return (value * weight.unsqueeze(-1)).sum(0).flatten(1)


def _cross_attention(
    states: Tensor, normed: Tensor, memory: CachedMemory, padding: Tensor, heads: int
) -> Tensor:
    """(R, d) -> (R, d), the residual included."""
    if memory.query is None:
        rows, width, columns = memory.key.shape
        weight = torch.baddbmm(padding, normed.view(rows, -1, width), memory.key)
        weight = weight.view(rows, -1, heads, columns // heads).softmax(-1)
        mixed = torch.baddbmm(states.view(rows, -1, width), weight.view(rows, -1, columns), memory.value)
        return mixed.view_as(states)
    groups, head_width, _ = memory.key.shape
    rows = groups // heads
    query = torch.mm(normed, memory.query).view(rows, -1, heads, head_width).transpose(1, 2)
    weight = torch.baddbmm(padding, query.reshape(groups, -1, head_width), memory.key).softmax(-1)
    mixed = torch.bmm(weight, memory.value).view(rows, heads, -1, head_width)
    return torch.addmm(states, mixed.transpose(1, 2).reshape(len(states), -1), memory.out)
