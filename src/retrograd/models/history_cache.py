"""One more token behind a history for many beams, without reading the history again.

A causal stack attends to the tokens of a history and to those written since in one softmax. All beams of a
history share its keys and values; what a beam has written is found through its ancestors. Without dropout.
Shapes: B histories, S tokens of a history, A beams of one, R = B * A, H heads, k head width, d width,
N layers, t tokens written so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from retrograd.models.blocks import Attention


class LayerMemory(NamedTuple):
    """Keys and values of one layer."""

    key: Tensor
    """(B, H, S, k) of histories, (R, H, k) of one written token."""

    value: Tensor


class HistoryCache(NamedTuple):
    """What a step reads. A value: a step returns the next one, so a prefix may branch."""

    layers: tuple[LayerMemory, ...]
    """N, of the histories."""

    bias: Tensor
    """(B, 1 or H, 1, S) added to the attention to a history's tokens, -inf where it has none."""

    last: Tensor
    """(B, d) normed state after the last token of each history."""

    past: tuple[tuple[LayerMemory, ...], ...]
    """t tokens of N layers."""

    ancestors: tuple[Tensor, ...]
    """t times (R,) int64: where the keys and values of each row's prefix stand in `past`."""

    prefix: Tensor
    """(R, d) what each row has written, as the model sums it up; of no meaning before the first step."""

    @property
    def rows(self) -> int:
        """R of the last step, B before the first."""
        return len(self.prefix)

    @classmethod
    def start(cls, layers: Sequence[LayerMemory], bias: Tensor, last: Tensor) -> HistoryCache:
        """After B histories, nothing written."""
        return cls(tuple(layers), bias, last, (), (), last)

    def ancestors_of(self, parent: Tensor | None) -> tuple[Tensor, ...]:
        """t times (R,): the prefix of rows that continue `parent` (R,) each; None keeps the rows."""
        if parent is None:
            return self.ancestors
        return tuple(rows.index_select(0, parent) for rows in self.ancestors)

    def after(
        self, new: Sequence[LayerMemory], ancestors: tuple[Tensor, ...], prefix: Tensor
    ) -> HistoryCache:
        """The cache that includes one more token of each row; `prefix` (R, d) is what they have written."""
        own = torch.arange(len(prefix), device=prefix.device)
        return self._replace(past=(*self.past, tuple(new)), ancestors=(*ancestors, own), prefix=prefix)


def memory_of(attention: Attention, states: Tensor) -> LayerMemory:
    """Keys and values of (B, S, d) states that a layer is given."""
    inner = attention.out.shape[0]
    both = attention.norm(states) @ attention.qkv[:, inner:]
    key, value = both.view(*states.shape[:2], 2, attention.shape.heads, -1).permute(2, 0, 3, 1, 4)
    return LayerMemory(key.contiguous(), value.contiguous())


def cached_layer(
    attention: Attention, states: Tensor, cache: HistoryCache, at: int, ancestors: tuple[Tensor, ...]
) -> tuple[Tensor, LayerMemory]:
    """One layer's attention for one token of each row.

    Args:
        states: (R, d).
        at: which layer.

    Returns: (R, d) with the residual, and keys and values (R, H, k) of the token.
    """
    heads = attention.shape.heads
    query, key, value = (attention.norm(states) @ attention.qkv).view(len(states), 3, heads, -1).unbind(1)
    own = LayerMemory(key, value)
    written = [
        LayerMemory(*(part.index_select(0, rows) for part in past[at]))
        for past, rows in zip(cache.past, ancestors, strict=True)
    ]
    written.append(own)
    history = cache.layers[at]
    batch = len(history.key)
    by_history = query.view(batch, -1, *query.shape[1:]).transpose(1, 2)  # (B, H, A, k)
    of_history = by_history @ history.key.mT + cache.bias  # (B, H, A, S)
    of_written = torch.stack([(query * token.key).sum(dim=-1) for token in written], dim=-1)  # (R, H, t + 1)
    of_written = of_written.view(batch, -1, *of_written.shape[1:]).transpose(1, 2)
    shares = torch.cat([of_history, of_written], dim=-1).softmax(dim=-1)
    slots = history.key.shape[2]
    mixed = (shares[..., :slots] @ history.value).transpose(1, 2).reshape(query.shape)
    weights = shares[..., slots:].transpose(1, 2).reshape(len(states), heads, -1)
    for place, token in enumerate(written):
        mixed = mixed.addcmul(weights[..., place : place + 1], token.value)
    return states + mixed.flatten(1) @ attention.out, own
