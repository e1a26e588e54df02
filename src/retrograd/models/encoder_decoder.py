"""Inputs to docid tokens: an encoder of any kind, a T5-like decoder, one output table per level.

Knows token ids and levels, never documents or tries. Decoding has two faces that agree: `logits`
for training, teacher-forced, and `start` with `step` for search, cached.
Shapes: B rows of a batch, S memory slots, A beams per row, L levels, V tokens of one level, d width.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrograd.docid_table import DocidTable
from retrograd.errors import ArtifactError
from retrograd.models.blocks import ACTIVATIONS, BlockShape, DecoderStack
from retrograd.models.cached_decoder import DecoderCache, cached_step, start_cache
from retrograd.models.inputs import Memory, Role
from retrograd.models.vector_input import VectorInput
from retrograd.types import State

OUTPUT_ROW = "output_row"
"""Name of what is learnt for one document alone: (d,) what states are multiplied with for its token."""


@dataclass(frozen=True, kw_only=True)
class EncoderDecoder:
    """A docid decoder over an input encoder."""

    encoder: Any = field(default_factory=VectorInput)
    """An input config of `models`: what turns a text into memory."""

    layers: int = 2
    """Decoder layers."""

    heads: int = 4
    feed_forward: int = 4
    """Inner width of the feed-forward layers, as a multiple of the encoder's width."""

    dropout: float = 0.1
    prefix_dropout: float = 0.0
    """Share of the tokens before the one to predict that are blanked in training, so that the input
    decides and not the memory of which token follows which."""

    relative_positions: bool = True
    """False: a token knows its level only through its own codebook."""

    activation: str = "relu"
    """`relu` or `gated_gelu`."""

    tied: bool = False
    """True: the table that reads a token also writes it (logits scaled by width**-0.5)."""

    def __post_init__(self) -> None:
        if min(self.layers, self.heads, self.feed_forward) < 1:
            raise ValueError("layers, heads and feed_forward must be at least 1")
        if not 0 <= self.prefix_dropout < 1:
            raise ValueError(f"prefix_dropout={self.prefix_dropout} must be in [0, 1)")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation={self.activation!r}; choose one of {', '.join(ACTIVATIONS)}")

    def fit(self, texts: Sequence[str]) -> State:
        """What the encoder learns from the collection."""
        learnt: State = self.encoder.fit(texts)
        return learnt

    def build(self, state: State, table: DocidTable, seed: int = 0) -> EncoderDecoderModel:
        """The network for a table's vocabulary; the same seed gives the same weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            encoder = self.encoder.build(state)
            shape = BlockShape.of_width(
                encoder.width,
                self.layers,
                self.heads,
                self.feed_forward,
                self.dropout,
                self.relative_positions,
                self.activation,
            )
            return EncoderDecoderModel(
                encoder,
                shape,
                table.level_sizes,
                shared_vocabulary=table.shared_vocabulary,
                tied=self.tied,
                prefix_dropout=self.prefix_dropout,
            )


class EncoderDecoderModel(nn.Module):
    """The network. Level `l` reads and writes its own rows of one token table; with a shared
    vocabulary all levels use the same rows.

    Args:
        encoder: a `models.inputs.InputEncoder` whose width is `shape.width`.
        level_sizes: vocabulary size at each depth.
        tied: the table that embeds tokens is also the output table.
        prefix_dropout: share of the tokens of a prefix blanked in training.
    """

    def __init__(
        self,
        encoder: Any,
        shape: BlockShape,
        level_sizes: Sequence[int],
        *,
        shared_vocabulary: bool = False,
        tied: bool = False,
        prefix_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.prefix_dropout = prefix_dropout
        self.encoder, self.shape = encoder, shape
        self.level_sizes = tuple(level_sizes)
        self.shared_vocabulary = shared_vocabulary
        self.output_scale = shape.width**-0.5 if tied else 1.0
        self.decoder = DecoderStack(shape)
        self.begin = nn.Parameter(torch.randn(shape.width))
        self.embedding = nn.Parameter(torch.randn(self._num_rows, shape.width))
        self.output = None if tied else nn.Parameter(torch.randn_like(self.embedding) * shape.width**-0.5)

    @property
    def fingerprint(self) -> str:
        """sha256 over what the encoder depends on that is not in `state_dict`."""
        found: str = self.encoder.fingerprint
        return found

    def prepare(self, texts: Sequence[str], role: Role = "query") -> Any:
        """Texts after the gradient-free part; see `models.inputs.InputEncoder`."""
        return self.encoder.prepare(texts, role)

    def collate(self, prepared: Any, rows: np.ndarray) -> dict[str, Tensor]:
        """The tensors of some rows (n,) of what `prepare` returned."""
        batch: dict[str, Tensor] = self.encoder.collate(prepared, rows)
        return batch

    @property
    def tied(self) -> bool:
        """Whether one table both reads and writes tokens."""
        return self.output is None

    @property
    def depth(self) -> int:
        """L: tokens of the longest key."""
        return len(self.level_sizes)

    @property
    def _num_rows(self) -> int:
        return self.level_sizes[0] if self.shared_vocabulary else sum(self.level_sizes)

    @property
    def _offsets(self) -> list[int]:
        """Row of token 0 of each level in the token tables."""
        if self.shared_vocabulary:
            return [0] * self.depth
        return [0, *accumulate(self.level_sizes[:-1])]

    def encode(self, inputs: dict[str, Tensor]) -> Memory:
        """A collated batch to memory."""
        memory: Memory = self.encoder(inputs)
        return memory

    def logits(self, inputs: dict[str, Tensor], keys: Tensor) -> Tensor:
        """Teacher-forced scores of every token after each prefix of `keys`.

        Args:
            inputs: collated batch of B rows.
            keys: (B, L') int64 with L' <= L, short keys padded with -1.

        Returns: (B, L', max V) float; -inf where a level has no such token.
        """
        return self.decode(self.encode(inputs), keys)

    def decode(self, memory: Memory, keys: Tensor) -> Tensor:
        """`logits` over inputs that are encoded already."""
        levels = keys.shape[1]
        offsets = torch.tensor(self._offsets[: levels - 1], dtype=torch.int64, device=keys.device)
        tokens = F.embedding(keys[:, :-1].clamp(min=0) + offsets, self.embedding)
        if self.training and self.prefix_dropout > 0:
            kept = torch.rand(tokens.shape[:2], device=tokens.device) >= self.prefix_dropout
            tokens = tokens * kept.unsqueeze(-1)
        begin = self.begin.expand(len(keys), 1, -1)
        states = self.decoder(torch.cat([begin, tokens], dim=1), memory.states, memory.where)
        if self.shared_vocabulary:
            return self._project(states, 0)
        widest = max(self.level_sizes[:levels])
        parts = [self._project(states[:, level], level) for level in range(levels)]
        padded = [F.pad(part, (0, widest - part.shape[-1]), value=-torch.inf) for part in parts]
        return torch.stack(padded, dim=1)

    def _project(self, states: Tensor, level: int) -> Tensor:
        scaled = states if self.output_scale == 1.0 else states * self.output_scale
        return F.linear(scaled, self.output_rows(level))

    def output_rows(self, level: int) -> Tensor:
        """(V, d): what the states of a level are multiplied with, a view into the table."""
        first = self._offsets[level]
        table = self.embedding if self.output is None else self.output
        return table[first : first + self.level_sizes[level]]

    def first_states(self, inputs: dict[str, Tensor]) -> Tensor:
        """(B, d) states before the first token: times `output_rows(0)` they are its logits."""
        cache = self.start(self.encode(inputs))
        states, _ = cached_step(cache, self.begin.expand(cache.rows, -1), None)
        return states if self.output_scale == 1.0 else states * self.output_scale

    def start(self, memory: Memory) -> DecoderCache:
        """The cache of B empty prefixes: cross-attention keys and values, projected once per row."""
        return start_cache(self.decoder, memory.states, memory.where, self.depth)

    def step(
        self, cache: DecoderCache, token: Tensor | None = None, parent: Tensor | None = None
    ) -> tuple[Tensor, DecoderCache]:
        """Scores of the next level's tokens after one more token, without dropout.

        Args:
            cache: from `start` or an earlier `step`; left as it was, so a prefix may branch.
            token: (R,) int64 tokens of the level before, R = B * A with the A beams of a row
                together; None in the first step, which has R = B.
            parent: (R,) int64, the row of the step before that each row continues.

        Returns: (R, V) float logits of this level, and the next cache.
        """
        level = len(cache.past)
        if token is None:
            assert level == 0, "only the first step has no token"
            states = self.begin.expand(cache.rows, -1)
        else:
            states = self.embedding.index_select(0, token + self._offsets[level - 1])
        states, cache = cached_step(cache, states, parent)
        return self._project(states, level), cache

    def resize(self, level_sizes: Sequence[int]) -> None:
        """Grow the vocabularies in place; old tokens keep their rows, in the table and in meaning.

        A new token of an old level starts as the mean of that level, so it is neither preferred
        nor ruled out; a new level starts as the mean of the whole table.

        Raises:
            ValueError: a level would shrink or vanish.
        """
        wanted, before = tuple(level_sizes), self.level_sizes
        if len(wanted) < len(before) or any(new < old for new, old in zip(wanted, before, strict=False)):
            raise ValueError(f"level sizes {before} cannot shrink to {wanted}; fit a new model instead")
        self._refit(wanted)

    def grown(self, level_sizes: Sequence[int], own: Iterable[tuple[Sequence[int], State]] = ()) -> Self:
        """A twin of other vocabulary sizes that shares every weight but the token tables with this one.

        Args:
            level_sizes: as in `resize`; rows that a smaller level has no place for are left out.
            own: keys, and what was learnt for the last token of each: `OUTPUT_ROW`, (d,) float.

        Raises:
            ArtifactError: a row of another width.
        """
        twin = copy.copy(self)
        twin._parameters = dict(self._parameters)  # its own names for them
        twin._refit(tuple(level_sizes))
        with torch.no_grad():
            for key, learnt in own:
                if OUTPUT_ROW in learnt:
                    rows, row = twin.output_rows(len(key) - 1), learnt[OUTPUT_ROW]
                    if row.shape != rows.shape[1:]:
                        width = tuple(rows.shape[1:])
                        raise ArtifactError(f"a learnt row has shape {row.shape}, not {width}")
                    rows[key[-1]] = torch.from_numpy(np.asarray(row, np.float32)).to(rows.device)
        return twin

    def _refit(self, wanted: tuple[int, ...]) -> None:
        """New token tables: rows that stay keep their values, new ones are the mean of their level."""
        before = self.level_sizes
        old_starts = self._offsets
        self.level_sizes = wanted
        tables = {"embedding": self.embedding} | ({} if self.output is None else {"output": self.output})
        for name, old in tables.items():
            rows = []
            levels = (
                [(0, before[0], wanted[0])]
                if self.shared_vocabulary
                else [
                    (old_starts[at], before[at], new) if at < len(before) else (0, 0, new)
                    for at, new in enumerate(wanted)
                ]
            )
            for first, count, new in levels:
                kept = old.detach()[first : first + min(count, new)]
                mean = (kept if count else old.detach()).mean(dim=0)
                rows += [kept, mean.expand(new - len(kept), -1)]
            setattr(self, name, nn.Parameter(torch.cat(rows)))
