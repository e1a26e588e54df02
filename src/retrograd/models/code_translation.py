"""An encoder reads the codes of a history, a decoder writes those of the next item: one case per beginning.

Rajput et al. 2023 (arXiv:2305.05065), section 3.2, on the layers of `blocks` and the decoder of
`encoder_decoder`. It takes and gives what `code_sequences` does, at several times the cost: every beginning
of a history is read anew. It knows items by their keys only, and no users.
Shapes: B rows of a batch, w items of a row, L levels, P targets, V tokens of one level, d width.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from retrograd.models.blocks import BlockShape, EncoderStack
from retrograd.models.cached_decoder import DecoderCache
from retrograd.models.code_sequences import SpeltRows, collate_keys, keys_of_items, resized
from retrograd.models.encoder_decoder import EncoderDecoderModel
from retrograd.models.inputs import Memory
from retrograd.models.sequential import Rows, check_length
from retrograd.types import State


@dataclass(frozen=True, kw_only=True)
class CodeTranslator:
    """An encoder over a history's tokens and a decoder of the next item's, as many layers each."""

    width: int = 128
    layers: int = 4
    heads: int = 6
    head_width: int = 64
    feed_forward: int = 1024
    """Inner width."""

    dropout: float = 0.1
    length: int = 20
    """Items read; of a longer history the last so many."""

    def __post_init__(self) -> None:
        if self.length < 1:
            raise InputError(f"length={self.length} must be at least 1")
        self._shape()

    def _shape(self) -> BlockShape:
        return BlockShape(
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            head_width=self.head_width,
            feed_forward=self.feed_forward,
            dropout=self.dropout,
        )

    def fit(self, texts: Sequence[str]) -> State:
        """Nothing is learnt from texts."""
        del texts
        return {}

    def build(self, state: State, table: DocidTable, seed: int = 0) -> CodeTranslatorModel:
        """The network for a table's vocabulary; the same seed gives the same weights.

        Raises:
            InputError: as `code_sequences.keys_of_items`.
        """
        del state
        keys = keys_of_items(table)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return CodeTranslatorModel(self._shape(), self.length, table.level_sizes, keys)


class HistoryEncoder(nn.Module):
    """Keys of a history to memory; a token is read with its level's own table."""

    def __init__(self, shape: BlockShape, level_sizes: Sequence[int]) -> None:
        super().__init__()
        self.width, self.fingerprint = shape.width, ""
        self.tables = nn.ParameterList(nn.Parameter(torch.randn(size, shape.width)) for size in level_sizes)
        self.stack = EncoderStack(shape)

    def forward(self, batch: dict[str, Tensor]) -> Memory:
        """`keys` (B, w, L) and `pieces` (B, w), above 0 where there is an item."""
        keys = batch["keys"]
        levels = zip(keys.unbind(dim=2), self.tables, strict=True)
        tokens = torch.stack([F.embedding(codes, table) for codes, table in levels], dim=2).flatten(1, 2)
        where = (batch["pieces"] > 0).repeat_interleave(keys.shape[2], dim=1)
        return Memory(self.stack(tokens, where), where)


class CodeTranslatorModel(nn.Module):
    """The network, with the face of `code_sequences.CodeTransformerModel`.

    Args:
        level_sizes: vocabulary size at each depth.
        keys: (n, L) int64, the key of each item that training may name.
    """

    fingerprint = ""
    keys: Tensor

    def __init__(self, shape: BlockShape, length: int, level_sizes: Sequence[int], keys: np.ndarray) -> None:
        super().__init__()
        self.length = length
        self.translator = EncoderDecoderModel(HistoryEncoder(shape, level_sizes), shape, level_sizes)
        self.register_buffer("keys", torch.from_numpy(keys), persistent=False)

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """Vocabulary size at each depth."""
        return self.translator.level_sizes

    @property
    def depth(self) -> int:
        """L."""
        return self.translator.depth

    def prepare_sequences(self, rows: Rows) -> SpeltRows:
        """As `CodeTransformerModel.prepare_sequences`."""
        check_length(rows, self.length)
        return SpeltRows(rows, self.keys.cpu().numpy())

    def collate(self, prepared: SpeltRows, rows: np.ndarray) -> dict[str, Tensor]:
        """See `code_sequences.collate_keys`."""
        return collate_keys(prepared, rows)

    def level_logits(self, inputs: dict[str, Tensor], targets: Tensor) -> tuple[list[Tensor], Tensor]:
        """Teacher-forced scores of every token of every target, after all that stands before it.

        Args:
            inputs: collated batch of B packed rows.
            targets: (B, w) int64 rows of the items that follow each position, -1 where none is asked for.

        Returns: per level (P, V) float, and (P, L) int64 the tokens that are right.
        """
        asked = targets >= 0
        tokens = self.keys[targets[asked]]
        logits = self.translator.logits(beginnings(inputs, asked), tokens)
        return [logits[:, level, :size] for level, size in enumerate(self.level_sizes)], tokens

    def encode(self, inputs: dict[str, Tensor]) -> Memory:
        """Collated histories, one to a row, to memory."""
        return self.translator.encode(inputs)

    def start(self, memory: Memory) -> DecoderCache:
        """See `EncoderDecoderModel.start`."""
        return self.translator.start(memory)

    def step(
        self, cache: DecoderCache, token: Tensor | None = None, parent: Tensor | None = None
    ) -> tuple[Tensor, DecoderCache]:
        """See `EncoderDecoderModel.step`."""
        return self.translator.step(cache, token, parent)

    def grown(self, level_sizes: Sequence[int], own: Iterable[tuple[Sequence[int], State]] = ()) -> Self:
        """A twin of other vocabulary sizes; see `EncoderDecoderModel.grown`."""
        twin = copy.copy(self)
        twin._modules = dict(self._modules)
        twin.translator = self.translator.grown(level_sizes, own)
        twin.translator._modules = dict(self.translator._modules)
        tables = zip(self.translator.encoder.tables, level_sizes, strict=True)
        encoder = copy.copy(self.translator.encoder)
        encoder._modules = dict(encoder._modules)
        encoder.tables = nn.ParameterList(
            nn.Parameter(resized(table.detach(), size)) for table, size in tables
        )
        twin.translator.encoder = encoder
        return twin


def beginnings(inputs: dict[str, Tensor], asked: Tensor) -> dict[str, Tensor]:
    """Packed rows to one row per beginning of a history: what a piece holds up to each asked position.

    Args:
        inputs: `keys` (B, w, L), `pieces` and `places` (B, w).
        asked: (B, w) bool, P of them.

    Returns: `keys` (P, w', L) from the oldest item on and `pieces` (P, w') 1 where there is an item.
    """
    row, column = asked.nonzero(as_tuple=True)
    place = inputs["places"][asked]
    at = torch.arange(int(place.max()) + 1 if len(place) else 1, device=asked.device)
    where = at <= place.unsqueeze(1)
    columns = torch.where(where, (column - place).unsqueeze(1) + at, 0)
    keys = inputs["keys"][row.unsqueeze(1), columns]
    return {"keys": keys * where.unsqueeze(2), "pieces": where.long()}
