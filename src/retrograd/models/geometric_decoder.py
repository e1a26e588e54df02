"""From a request and the codes chosen so far to the direction of what is left to say.

Two bodies with one face: a small network per level, and a causal transformer that also attends to
the request's tokens. Neither knows codebooks or documents; a step is given vectors.
Shapes: B rows, m levels, d width, S memory slots, R rows of a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from retrograd.models.blocks import BlockShape, DecoderStack
from retrograd.models.cached_decoder import DecoderCache, cached_step, start_cache
from retrograd.models.inputs import Memory

MEMORIES = ("tokens", "query", "none")


@dataclass(frozen=True, kw_only=True)
class LevelNetworks:
    """One two-layer network per level over the input and the request vector: no attention.

    With a frozen sentence vector as request there is nothing to attend to, and this is 10 times
    cheaper than a transformer.
    """

    hidden: int = 512
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.hidden < 1 or not 0 <= self.dropout < 1:
            raise ValueError(f"hidden={self.hidden} must be at least 1, dropout={self.dropout} in [0, 1)")

    def build(self, width: int, levels: int) -> LevelNetworksBody:
        """The module."""
        return LevelNetworksBody(self, width, levels)


class StepState(NamedTuple):
    """What a body carries from step to step of a search."""

    level: int
    memory: DecoderCache | None


class LevelNetworksBody(nn.Module):
    """`forward` and `step` map inputs (B, m, d) or (R, d), with the request vector, to vectors of width d."""

    def __init__(self, config: LevelNetworks, width: int, levels: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(
                nn.Linear(2 * width, config.hidden),
                nn.GELU(),
                nn.Dropout(config.dropout),
                nn.Linear(config.hidden, width),
            )
            for _ in range(levels)
        )

    def last_layers(self) -> list[nn.Linear]:
        """The maps whose output is the result."""
        return [level[-1] for level in self.levels]  # type: ignore[index]

    def forward(self, inputs: Tensor, query: Tensor, memory: Memory) -> Tensor:
        """(B, m', d) inputs, (B, d) request vectors -> (B, m', d)."""
        del memory
        outputs = [self._at(level, inputs[:, level], query) for level in range(inputs.shape[1])]
        return torch.stack(outputs, dim=1)

    def _at(self, level: int, inputs: Tensor, query: Tensor) -> Tensor:
        out: Tensor = self.levels[level](torch.cat([inputs, query], dim=-1))
        return out

    def start(self, memory: Memory, depth: int) -> StepState:
        """Before the first step."""
        del memory, depth
        return StepState(0, None)

    def step(
        self, state: StepState, inputs: Tensor, query: Tensor, parent: Tensor | None
    ) -> tuple[Tensor, StepState]:
        """One level: (R, d) inputs and request vectors -> (R, d)."""
        del parent
        return self._at(state.level, inputs, query), StepState(state.level + 1, None)


@dataclass(frozen=True, kw_only=True)
class CausalTransformer:
    """T5-like layers over the inputs of all levels, with cross-attention to the request."""

    layers: int = 2
    heads: int = 6
    feed_forward: int = 4
    """Inner width as a multiple of the width."""

    dropout: float = 0.0
    memory: str = "tokens"
    """What cross-attention reads: the request's `tokens` (its vector where it has none), its `query`
    vector only, or `none` (a zero vector)."""

    def __post_init__(self) -> None:
        if self.memory not in MEMORIES:
            raise ValueError(f"memory={self.memory!r}; choose one of {', '.join(MEMORIES)}")

    def build(self, width: int, levels: int) -> CausalTransformerBody:
        """The module."""
        del levels
        shape = BlockShape.of_width(width, self.layers, self.heads, self.feed_forward, self.dropout)
        return CausalTransformerBody(shape, self.memory)


class CausalTransformerBody(nn.Module):
    """The same face as `LevelNetworksBody`. Inputs and memory are unit vectors and are scaled to d ** 0.5."""

    def __init__(self, shape: BlockShape, memory: str) -> None:
        super().__init__()
        self.stack, self._memory, self._size = DecoderStack(shape), memory, shape.width**0.5
        self.out = nn.Linear(shape.width, shape.width)

    def last_layers(self) -> list[nn.Linear]:
        """The map whose output is the result."""
        return [self.out]

    def _read(self, memory: Memory) -> Memory:
        if self._memory == "tokens":
            return replace(memory, states=memory.states * self._size)
        first = memory.states[:, :1] * (self._size if self._memory == "query" else 0.0)
        return Memory(first, torch.ones_like(memory.where[:, :1]))

    def forward(self, inputs: Tensor, query: Tensor, memory: Memory) -> Tensor:
        """(B, m', d) inputs -> (B, m', d)."""
        del query
        read = self._read(memory)
        out: Tensor = self.out(self.stack(inputs * self._size, read.states, read.where))
        return out

    def start(self, memory: Memory, depth: int) -> StepState:
        """Keys and values of the memory, projected once per row."""
        read = self._read(memory)
        return StepState(0, start_cache(self.stack, read.states, read.where, depth))

    def step(
        self, state: StepState, inputs: Tensor, query: Tensor, parent: Tensor | None
    ) -> tuple[Tensor, StepState]:
        """One level: (R, d) inputs -> (R, d)."""
        del query
        assert state.memory is not None
        states, cache = cached_step(state.memory, inputs * self._size, parent)
        return self.out(states), StepState(state.level + 1, cache)


def start_from_zero(layers: Sequence[nn.Linear]) -> None:
    """Let last layers begin at zero, so that what they are added to is the result at first."""
    for layer in layers:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
