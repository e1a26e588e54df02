"""Transformer blocks of the T5 kind: what encoders and decoders of tokens are stacked from.

Root-mean-square norm before each sub-layer, no biases, a learnt position bias on the attention
scores that all layers share, and no division of the scores by the head width (Raffel et al. 2020,
section 2.1). Knows neither docids nor text. Shapes: B rows of a batch, S memory slots, T target
positions, H heads, k head width, d width.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVATIONS = ("relu", "gated_gelu")


@dataclass(frozen=True, kw_only=True)
class BlockShape:
    """Sizes of one stack."""

    width: int
    """d."""

    layers: int
    heads: int
    head_width: int
    """k; `heads * head_width` need not be `width`."""

    feed_forward: int
    """Inner width of the feed-forward sub-layer."""

    activation: str = "relu"
    """`relu`, or `gated_gelu` (T5 1.1)."""

    dropout: float = 0.0
    relative_positions: bool = True
    """False leaves the order of the positions unknown to the attention."""

    buckets: int = 32
    """Distances the position bias tells apart."""

    max_distance: int = 128
    """Distances from here on share one bucket."""

    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        if min(self.width, self.layers, self.heads, self.head_width, self.feed_forward) < 1:
            raise ValueError(f"{self}: every size must be at least 1")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation={self.activation!r}; choose one of {', '.join(ACTIVATIONS)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} must be in [0, 1)")

    @classmethod
    def of_width(
        cls,
        width: int,
        layers: int,
        heads: int,
        feed_forward: int,
        dropout: float = 0.0,
        relative_positions: bool = True,
        activation: str = "relu",
    ) -> BlockShape:
        """Heads that share `width` between them, a feed-forward layer `feed_forward` times as wide."""
        if heads < 1 or width % heads:
            raise ValueError(f"width={width} must be a multiple of heads={heads}")
        return cls(
            width=width,
            layers=layers,
            heads=heads,
            head_width=width // heads,
            feed_forward=feed_forward * width,
            dropout=dropout,
            relative_positions=relative_positions,
            activation=activation,
        )


def relative_buckets(queries: int, keys: int, *, both_ways: bool, buckets: int, max_distance: int) -> Tensor:
    """Which bias each (query, key) pair of positions uses: (queries, keys) int64.

    Distances below half of the buckets have their own; the rest are spaced by logarithm up to
    `max_distance` (Raffel et al. 2020, section 2.1). With `both_ways` one half of the buckets is
    for keys behind the query, else such keys count as distance 0.
    """
    ahead = torch.arange(keys) - torch.arange(queries).unsqueeze(1)
    half = buckets // 2 if both_ways else buckets
    side = (ahead > 0).long() * half if both_ways else torch.zeros_like(ahead)
    distance = ahead.abs() if both_ways else (-ahead).clamp(min=0)
    exact = half // 2
    spread = torch.log(distance.clamp(min=1).float() / exact) / log(max_distance / exact) * (half - exact)
    far = (exact + spread.long()).clamp(max=half - 1)
    return side + torch.where(distance < exact, distance, far)


class PositionBias(nn.Module):
    """One learnt number per bucket of distances and head."""

    def __init__(self, shape: BlockShape, both_ways: bool) -> None:
        super().__init__()
        self.shape, self.both_ways = shape, both_ways
        self.weight = nn.Parameter(torch.randn(shape.buckets, shape.heads) * shape.width**-0.5)
        self._buckets = torch.empty(0, 0, dtype=torch.int64)

    def forward(self, length: int) -> Tensor:
        """(H, length, length) float, to be added to the attention scores."""
        if len(self._buckets) < length or self._buckets.device != self.weight.device:
            with torch.inference_mode(False):  # kept for training too, which rejects inference tensors
                self._buckets = relative_buckets(
                    length,
                    length,
                    both_ways=self.both_ways,
                    buckets=self.shape.buckets,
                    max_distance=self.shape.max_distance,
                ).to(self.weight.device)
        return self.weight[self._buckets[:length, :length]].permute(2, 0, 1)


class RMSNorm(nn.Module):
    """Division by the root mean square, then a weight per dimension."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        self.weight, self.epsilon = nn.Parameter(torch.ones(shape.width)), shape.epsilon

    def forward(self, states: Tensor) -> Tensor:
        """Same shape."""
        if torch.is_grad_enabled():
            return F.rms_norm(states, self.weight.shape, self.weight, self.epsilon)
        # without a backward pass to serve, fewer and cheaper kernels than the library's
        length = torch.linalg.vector_norm(states, dim=-1, keepdim=True)
        root = length.square_().mul_(1 / states.shape[-1]).add_(self.epsilon).sqrt_()
        return (states * self.weight).div_(root)


def _matrix(inner: int, outer: int, scale: float) -> nn.Parameter:
    """A weight for `states @ weight`: (inner, outer), drawn with standard deviation `scale`."""
    return nn.Parameter(torch.randn(inner, outer) * scale)


def _dropped(states: Tensor, module: FeedForward | Attention | CrossAttention) -> Tensor:
    rate = module.shape.dropout
    return F.dropout(states, rate) if module.training and rate else states


class FeedForward(nn.Module):
    """Norm, widen, activate, narrow."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        self.shape, self.gated = shape, shape.activation == "gated_gelu"
        self.norm = RMSNorm(shape)
        self.wide = _matrix(shape.width, shape.feed_forward * (1 + self.gated), shape.width**-0.5)
        self.out = _matrix(shape.feed_forward, shape.width, shape.feed_forward**-0.5)

    def forward(self, states: Tensor) -> Tensor:
        """(..., d) -> (..., d), the residual included."""
        inner = _dropped(activate(self.norm(states) @ self.wide, self.gated), self)
        return states + _dropped(inner @ self.out, self)


def activate(wide: Tensor, gated: bool) -> Tensor:
    """ReLU, or the first half of the columns through GELU times the second half."""
    if not gated:
        return F.relu(wide)
    gate, value = wide.chunk(2, dim=-1)
    return F.gelu(gate, approximate="tanh") * value


class Attention(nn.Module):
    """Norm, attend over the states themselves, project; queries, keys and values are one matrix."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        inner = shape.heads * shape.head_width
        self.shape = shape
        self.norm = RMSNorm(shape)
        self.qkv = _matrix(shape.width, 3 * inner, shape.width**-0.5)
        self.out = _matrix(inner, shape.width, inner**-0.5)
        with torch.no_grad():  # unscaled scores: the queries start smaller by the root of the head width
            self.qkv[:, :inner] *= shape.head_width**-0.5

    def forward(self, states: Tensor, bias: Tensor, packing: Packing | None = None) -> Tensor:
        """(B, T, d) -> (B, T, d), or (n, d) -> (n, d) of the positions that a packing keeps. `bias`: added to
        the scores, broadcastable to (B, H, T, T)."""
        qkv = self.norm(states) @ self.qkv
        if packing is not None:
            qkv = packing.unpack(qkv)
        q, k, v = qkv.view(*qkv.shape[:2], 3, self.shape.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = _attend(q, k, v, bias)
        if packing is not None:
            mixed = packing.pack(mixed)
        return states + _dropped(mixed @ self.out, self)


class CrossAttention(nn.Module):
    """Norm, attend over a memory, project."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        inner = shape.heads * shape.head_width
        self.shape = shape
        self.norm = RMSNorm(shape)
        self.query = _matrix(shape.width, inner, (shape.width * shape.head_width) ** -0.5)
        self.key_value = _matrix(shape.width, 2 * inner, shape.width**-0.5)
        self.out = _matrix(inner, shape.width, inner**-0.5)

    def forward(self, states: Tensor, memory: Tensor, bias: Tensor) -> Tensor:
        """(B, T, d) over a memory (B, S, d) -> (B, T, d). `bias`: (B, 1, 1, S), -inf at padding."""
        q = (self.norm(states) @ self.query).view(*states.shape[:2], self.shape.heads, -1).transpose(1, 2)
        both = (memory @ self.key_value).view(*memory.shape[:2], 2, self.shape.heads, -1)
        k, v = both.permute(2, 0, 3, 1, 4)
        return states + _dropped(_attend(q, k, v, bias) @ self.out, self)


class Packing(NamedTuple):
    """The n positions of a padded batch that hold something: what is done to each position by itself is done
    to these alone."""

    place: Tensor
    """(n,) int64, ascending, of B * S."""

    size: tuple[int, int]
    """B and S."""

    @classmethod
    def of(cls, where: Tensor) -> Packing | None:
        """From (B, S) bool, True where there is something; None where nothing is padded, and off the CPU,
        where counting would wait for the device."""
        if where.device.type != "cpu" or bool(where.all()):
            return None
        return cls(where.flatten().nonzero()[:, 0], (where.shape[0], where.shape[1]))

    def pack(self, padded: Tensor) -> Tensor:
        """(B, S, ...) -> (n, ...)."""
        return padded.flatten(0, 1).index_select(0, self.place)

    def unpack(self, packed: Tensor) -> Tensor:
        """(n, ...) -> (B, S, ...), zeros at padding."""
        batch, slots = self.size
        empty = packed.new_zeros(batch * slots, *packed.shape[1:])
        return empty.index_copy(0, self.place, packed).view(batch, slots, *packed.shape[1:])


def _attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """(B, H, T, k) queries over (B, H, S, k) keys and values -> (B, T, H * k)."""
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
    return mixed.transpose(1, 2).flatten(2)


def padding_bias(where: Tensor) -> Tensor:
    """(B, S) bool -> (B, 1, 1, S) float: 0 where True, -inf elsewhere."""
    bias = torch.zeros(where.shape, device=where.device).masked_fill_(~where, -torch.inf)
    return bias[:, None, None]


class EncoderStack(nn.Module):
    """Layers of attention and feed-forward, then a norm."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        self.shape, self.dropout = shape, shape.dropout
        self.positions = PositionBias(shape, both_ways=True) if shape.relative_positions else None
        self.attention = nn.ModuleList(Attention(shape) for _ in range(shape.layers))
        self.feed_forward = nn.ModuleList(FeedForward(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape)

    def forward(self, states: Tensor, where: Tensor) -> Tensor:
        """(B, S, d) embeddings and (B, S) bool, True where there is a token -> (B, S, d); what stands at
        padding means nothing."""
        bias = padding_bias(where)
        if self.positions is not None:
            bias = bias + self.positions(states.shape[1])
        packing = Packing.of(where)
        states = F.dropout(states if packing is None else packing.pack(states), self.dropout, self.training)
        for attention, feed_forward in zip(self.attention, self.feed_forward, strict=True):
            states = feed_forward(attention(states, bias, packing))
        states = F.dropout(self.norm(states), self.dropout, self.training)
        return states if packing is None else packing.unpack(states)


class DecoderStack(nn.Module):
    """Layers of self-attention, cross-attention and feed-forward, then a norm."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        self.shape = shape
        self.positions = PositionBias(shape, both_ways=False) if shape.relative_positions else None
        self.attention = nn.ModuleList(Attention(shape) for _ in range(shape.layers))
        self.cross = nn.ModuleList(CrossAttention(shape) for _ in range(shape.layers))
        self.feed_forward = nn.ModuleList(FeedForward(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape)

    def layers(self) -> list[tuple[Attention, CrossAttention, FeedForward]]:
        """The sub-layers of each layer."""
        return list(zip(self.attention, self.cross, self.feed_forward, strict=True))  # type: ignore[arg-type]

    def position_bias(self, length: int) -> Tensor:
        """(H, length, length) float, zeros without relative positions; later keys are not yet hidden."""
        if self.positions is not None:
            bias: Tensor = self.positions(length)
            return bias
        return self.norm.weight.new_zeros(self.shape.heads, length, length)

    def forward(self, states: Tensor, memory: Tensor, where: Tensor) -> Tensor:
        """Teacher-forced: (B, T, d) embeddings over a memory (B, S, d), (B, S) bool -> (B, T, d)."""
        length, rate = states.shape[1], self.shape.dropout
        later = torch.ones(length, length, dtype=torch.bool, device=states.device).triu(1)
        bias = self.position_bias(length).masked_fill(later, -torch.inf).unsqueeze(0)
        padding = padding_bias(where)
        states = F.dropout(states, rate, self.training)
        for attention, cross, feed_forward in self.layers():
            states = attention(states, bias)
            states = feed_forward(cross(states, memory, padding))
        return F.dropout(self.norm(states), rate, self.training)
