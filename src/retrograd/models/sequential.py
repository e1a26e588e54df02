"""A causal transformer over items: after each item of a history a state, near the items that follow.

Kang and McAuley 2018, arXiv:1808.09781: learnt positions, one item table for inputs and outputs. The layers
are those of `blocks`. Histories come packed in rows; a position sees what stands before it in its own piece
and nothing of its neighbours. It knows items by their rows of the collection it was built for, and no users.
Shapes: n items, B rows of a batch, w items in a row, d width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from retrograd.models.blocks import Attention, BlockShape, FeedForward, RMSNorm
from retrograd.models.embedding_cache import cached
from retrograd.models.inference import device_of, without_dropout
from retrograd.models.text_encoder import MiniLM
from retrograd.types import State, TextEncoder, TextEncoderConfig

COUNT, TEXTS, ENCODER = "items", "texts", "encoder."
"""Names among what is fitted: how many items there are, their text vectors, and before the encoder's own."""

_ROWS_AT_ONCE = 64


class Rows(Protocol):
    """Packed histories, as `data.sequences.pack` makes them: (rows, w) each, -1 where there is nothing."""

    items: np.ndarray
    pieces: np.ndarray
    places: np.ndarray
    ends: np.ndarray

    def __len__(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class ItemTransformer:
    """One vector per item, learnt; a history is read by causal self-attention."""

    width: int = 64
    layers: int = 2
    heads: int = 2
    feed_forward: int = 1
    """Inner width as a multiple of the width."""

    activation: str = "relu"
    """One of `blocks.ACTIVATIONS`."""

    dropout: float = 0.2
    """On the embedded items and inside the layers."""

    length: int = 50
    """Positions; of a longer history the last so many items are read."""

    reads_text: bool = False
    """True: an item's vector is its own plus a linear map of its text's, so that one that came later has a
    vector too."""

    encoder: TextEncoderConfig = field(default_factory=MiniLM)
    """Reads the texts where `reads_text`."""

    def __post_init__(self) -> None:
        if self.length < 1:
            raise InputError(f"length={self.length} must be at least 1")
        self._shape()

    def _shape(self) -> BlockShape:
        return BlockShape.of_width(
            self.width,
            self.layers,
            self.heads,
            self.feed_forward,
            self.dropout,
            relative_positions=False,
            activation=self.activation,
        )

    def fit(self, texts: Sequence[str]) -> State:
        """How many items there are, and where text is read what their texts say."""
        state: State = {COUNT: np.array(len(texts))}
        if not self.reads_text:
            return state
        learnt = self.encoder.fit(texts)
        vectors = cached(self.encoder.build(learnt)).encode_document(texts)
        return {**state, TEXTS: vectors, **{ENCODER + name: array for name, array in learnt.items()}}

    def reader_of(self, state: State) -> TextEncoder | None:
        """The encoder as it was fitted, None where no text is read."""
        if not self.reads_text:
            return None
        own = {k.removeprefix(ENCODER): array for k, array in state.items() if k.startswith(ENCODER)}
        return cached(self.encoder.build(own))

    def build(self, state: State, table: DocidTable | None = None, seed: int = 0) -> ItemTransformerModel:
        """The network with fresh weights; docids do not matter to it."""
        del table
        encoder = self.reader_of(state)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return ItemTransformerModel(
                self._shape(), self.length, int(state[COUNT]), state.get(TEXTS), encoder
            )


class ItemTransformerModel(nn.Module):
    """Packed histories to states whose inner products with item vectors are scores."""

    def __init__(
        self,
        shape: BlockShape,
        length: int,
        count: int,
        texts: np.ndarray | None,
        encoder: TextEncoder | None,
    ) -> None:
        super().__init__()
        self.width, self.length, self.count, self._dropout = shape.width, length, count, shape.dropout
        self.fingerprint = "" if encoder is None else encoder.fingerprint
        self._encoder = encoder
        self.table = nn.Parameter(torch.randn(count, shape.width) * shape.width**-0.5)
        self.positions = nn.Parameter(torch.randn(length, shape.width) * 0.1)
        self.attention = nn.ModuleList(Attention(shape) for _ in range(shape.layers))
        self.feed_forward = nn.ModuleList(FeedForward(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape)
        self.texts: Tensor | None
        self.register_buffer("texts", None if texts is None else torch.from_numpy(texts), persistent=False)
        if texts is not None:
            self.from_text = nn.Linear(texts.shape[1], shape.width, bias=False)

    def prepare_sequences(self, rows: Rows) -> Rows:
        """Packed histories as `collate` takes them.

        Raises:
            InputError: a piece has more items than there are positions.
        """
        check_length(rows, self.length)
        return rows

    def collate(self, prepared: Rows, rows: np.ndarray) -> dict[str, Tensor]:
        """`items`, `pieces` (counted from 1, 0 where there is nothing) and `places`, each (B, w) int64."""
        return {
            "items": torch.from_numpy(prepared.items[rows] + 1),
            "pieces": torch.from_numpy(prepared.pieces[rows] + 1),
            "places": torch.from_numpy(prepared.places[rows]),
        }

    def item_vectors(self, items: Tensor | None = None) -> Tensor:
        """(..., d) of some items, (n, d) of all: they embed inputs, and states are compared with them."""
        own = self.table if items is None else F.embedding(items, self.table)
        if self.texts is None:
            return own
        texts = self.texts if items is None else F.embedding(items, self.texts)
        read: Tensor = self.from_text(texts)
        return own + read

    @property
    def reads_text(self) -> bool:
        """Whether items that are not in the table have a vector."""
        return self._encoder is not None

    def vectors_of_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(m, d) float32 of items that are not in the table."""
        assert self._encoder is not None, "only where text is read"
        with torch.inference_mode():
            vectors = torch.from_numpy(self._encoder.encode_document(texts)).to(device_of(self))
            found: np.ndarray = self.from_text(vectors).float().cpu().numpy()
        return found

    def states(self, inputs: dict[str, Tensor], vectors: Tensor | None = None) -> Tensor:
        """(B, w, d) float: a state after each item; what stands where there is none means nothing.

        Args:
            vectors: (m, d) item vectors to embed with, in the place of the model's own.
        """
        states = F.dropout(self.embedded(inputs, vectors), self._dropout, self.training)
        bias = self.visible(inputs).to(states.dtype)
        for attention, feed_forward in zip(self.attention, self.feed_forward, strict=True):
            states = feed_forward(attention(states, bias))
        normed: Tensor = self.norm(states)
        return normed

    def embedded(self, inputs: dict[str, Tensor], vectors: Tensor | None) -> Tensor:
        """(B, w, d): what the first layer reads; `vectors` as in `states`."""
        items = (inputs["items"] - 1).clamp(min=0)
        embedded = self.item_vectors(items) if vectors is None else F.embedding(items, vectors)
        states: Tensor = embedded * self.width**0.5 + F.embedding(inputs["places"], self.positions)
        return states

    def visible(self, inputs: dict[str, Tensor]) -> Tensor:
        """(B, 1, w, w) float: 0 for what a position sees, else -inf."""
        return own_past(inputs["pieces"])

    def last_states(self, rows: Rows, vectors: np.ndarray) -> np.ndarray:
        """(p, d) float32, without dropout: the state after the last item of each piece.

        Args:
            rows: histories whose items are rows of `vectors`.
            vectors: (m, d) float32.
        """
        device = device_of(self)
        found = np.zeros((*rows.items.shape, self.width), np.float32)
        table = torch.from_numpy(vectors).to(device)
        with without_dropout(self), torch.inference_mode():
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                some = np.arange(start, min(start + _ROWS_AT_ONCE, len(rows)))
                inputs = {name: tensor.to(device) for name, tensor in self.collate(rows, some).items()}
                found[some] = self.states(inputs, table).float().cpu().numpy()
        last: np.ndarray = found[rows.ends[:, 0], rows.ends[:, 1]]
        return last

    def all_item_vectors(self) -> np.ndarray:
        """(n, d) float32."""
        with torch.inference_mode():
            return np.array(self.item_vectors().float().cpu().numpy())


def check_length(rows: Rows, length: int) -> None:
    """Refuse packed histories that are longer than a model reads.

    Raises:
        InputError: a piece has more than `length` items.
    """
    longest = int(rows.places.max(initial=-1)) + 1
    if longest > length:
        raise InputError(
            f"the examples hold {longest} items in one piece but the model has length={length}; "
            "give both the same length"
        )


def own_past(pieces: Tensor) -> Tensor:
    """(B, w) pieces -> (B, 1, w, w) float: 0 for what stands before or at a position in its own piece, else
    -inf.

    >>> own_past(torch.tensor([[1, 1, 2]])).exp().int().tolist()
    [[[[1, 0, 0], [1, 1, 0], [0, 0, 1]]]]
    """
    width = pieces.shape[1]
    same = pieces.unsqueeze(2) == pieces.unsqueeze(1)
    past = torch.ones(width, width, dtype=torch.bool, device=pieces.device).tril()
    hidden = ~(same & past)
    return torch.zeros(hidden.shape, device=pieces.device).masked_fill_(hidden, -torch.inf).unsqueeze(1)
