"""A causal transformer over the codes of items: every token of a history, then the codes of what comes next.

Each item is a few tokens, its key in a docid table, and the model writes keys token by token, one output
table per level. A token is read as the sum of its key's vectors up to it, so that the last one stands for
the whole item. Places count only as distances in items, which lower the attention by a fixed slope per head
(Press et al. 2022, arXiv:2108.12409), so that a longer history than any learnt from is read as well
(measured: with learnt places it is not). Histories come packed in rows; their items are spelt here.
Decoding has two faces that agree: `level_logits` for training, and `start` with `step` for search, cached
(`history_cache`). It knows items by their keys only: one that came later is read and written like any other.
Shapes: B rows of a batch, w items of a row, L levels, T = w * L tokens of a row, P targets, A beams of a row,
H heads, V tokens of one level, d width.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from retrograd.models.blocks import Attention, BlockShape, FeedForward, RMSNorm, padding_bias
from retrograd.models.history_cache import HistoryCache, LayerMemory, cached_layer, memory_of
from retrograd.models.inputs import Memory
from retrograd.models.sequential import Rows, check_length, own_past
from retrograd.types import State


class SpeltRows(NamedTuple):
    """Packed histories with the keys of their items."""

    rows: Any
    """`sequential.Rows`."""

    keys: np.ndarray
    """(n, L) int64 of each item that `rows` may name."""

    texts: np.ndarray | None = None
    """(n, e) float32 of their texts, where a model reads those."""


@dataclass(frozen=True, kw_only=True)
class CodeTransformer:
    """One vector per token; a history is read, and what follows is written, by causal self-attention."""

    width: int = 128
    layers: int = 3
    heads: int = 4
    feed_forward: int = 4
    """Inner width as a multiple of the width."""

    activation: str = "relu"
    """One of `blocks.ACTIVATIONS`."""

    dropout: float = 0.1
    """On the embedded tokens and inside the layers."""

    length: int = 20
    """Items read; of a longer history the last so many."""

    def __post_init__(self) -> None:
        if self.length < 1:
            raise InputError(f"length={self.length} must be at least 1")
        self._shape()

    def _shape(self) -> BlockShape:
        sizes = self.width, self.layers, self.heads, self.feed_forward
        return BlockShape.of_width(*sizes, self.dropout, False, self.activation)

    def fit(self, texts: Sequence[str]) -> State:
        """Nothing is learnt from texts."""
        del texts
        return {}

    def build(self, state: State, table: DocidTable, seed: int = 0) -> CodeTransformerModel:
        """The network for a table's vocabulary; the same seed gives the same weights.

        Raises:
            InputError: keys of different lengths, or an item without a key.
        """
        del state
        keys = keys_of_items(table)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return CodeTransformerModel(self._shape(), self.length, table.level_sizes, keys)


def keys_of_items(table: DocidTable) -> np.ndarray:
    """(n, L) int64: the first key of every document.

    Raises:
        InputError: keys of different lengths, one vocabulary for all levels, or a document without a key.
    """
    keys, starts = table.by_document
    if (np.diff(starts) < 1).any() or table.shared_vocabulary or (table.padded < 0).any():
        raise InputError(
            "this model needs one key of equal length for every item, with codes of its own at each level; "
            "choose docids such as Quantised"
        )
    found: np.ndarray = table.padded[keys[starts[:-1]]]
    return found


class CodeTransformerModel(nn.Module):
    """The network. Level `l` reads and writes its own rows of two token tables.

    Args:
        level_sizes: vocabulary size at each depth.
        keys: (n, L) int64, the key of each item that training may name.
    """

    fingerprint = ""
    keys: Tensor
    slopes: Tensor

    def __init__(self, shape: BlockShape, length: int, level_sizes: Sequence[int], keys: np.ndarray) -> None:
        super().__init__()
        self.shape, self.length, self.level_sizes = shape, length, tuple(level_sizes)
        width, tokens = shape.width, sum(level_sizes)
        self.embedding = nn.Parameter(torch.randn(tokens, width) * len(self.level_sizes) ** -0.5)
        self.output = nn.Parameter(torch.randn(tokens, width) * width**-0.5)
        self.levels = nn.Parameter(torch.randn(len(self.level_sizes), width) * 0.1)
        self.attention = nn.ModuleList(Attention(shape) for _ in range(shape.layers))
        self.feed_forward = nn.ModuleList(FeedForward(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape)
        self.register_buffer("keys", torch.from_numpy(keys), persistent=False)
        slopes = 2.0 ** (-8 * torch.arange(1, shape.heads + 1) / shape.heads)
        self.register_buffer("slopes", slopes.view(-1, 1, 1), persistent=False)

    @property
    def depth(self) -> int:
        """L."""
        return len(self.level_sizes)

    def _layers(self) -> list[tuple[Attention, FeedForward]]:
        return list(zip(self.attention, self.feed_forward, strict=True))  # type: ignore[arg-type]

    @property
    def _offsets(self) -> list[int]:
        """Row of token 0 of each level in the token tables."""
        return [0, *accumulate(self.level_sizes[:-1])]

    def prepare_sequences(self, rows: Rows) -> SpeltRows:
        """Packed histories of the items the model was built for, as `collate` takes them.

        Raises:
            InputError: a piece has more items than are read.
        """
        check_length(rows, self.length)
        return SpeltRows(rows, self.keys.cpu().numpy())

    def collate(self, prepared: SpeltRows, rows: np.ndarray) -> dict[str, Tensor]:
        """See `collate_keys`."""
        return collate_keys(prepared, rows)

    def level_logits(self, inputs: dict[str, Tensor], targets: Tensor) -> tuple[list[Tensor], Tensor]:
        """Teacher-forced scores of every token of every target, after all that stands before it.

        Args:
            inputs: collated batch of B rows.
            targets: (B, w) int64 rows of the items that follow each position, -1 where none is asked for.

        Returns: per level (P, V) float, and (P, L) int64 the tokens that are right.

        Raises:
            InputError: within a piece, what follows an item is not the next item.
        """
        states, tokens = self.states_before(inputs, targets)
        return self.logits_of(states), tokens

    def states_before(self, inputs: dict[str, Tensor], targets: Tensor) -> tuple[Tensor, Tensor]:
        """(P, L, d) states before each token of every target, and (P, L) int64 the tokens; the arguments are
        those of `level_logits`, and targets come in the order of rows and positions."""
        items = with_followers(inputs, self.keys[targets.clamp(min=0)], targets >= 0)
        states = self._read(self.embedded(items), items["pieces"], items["places"]).flatten(0, 1)
        asked = ((items["pieces"] > 0) & (items["places"] > 0)).flatten().nonzero().squeeze(1)
        before = asked * self.depth - 1  # the last token of the item before
        tokens = torch.arange(self.depth, device=before.device)
        return states[before.unsqueeze(1) + tokens], items["keys"].flatten(0, 1)[asked]

    def logits_of(self, states: Tensor) -> list[Tensor]:
        """(P, L, d) states before each token -> per level (P, V) scores."""
        return [self._project(own, level) for level, own in enumerate(states.unbind(dim=1))]

    def embedded(self, inputs: dict[str, Tensor]) -> Tensor:
        """Collated items -> (B, w * L, d)."""
        return self.embed(inputs["keys"])

    def embed(self, keys: Tensor) -> Tensor:
        """(B, w, L) tokens -> (B, w * L, d)."""
        offsets = torch.tensor(self._offsets, dtype=torch.int64, device=keys.device)
        prefixes = F.embedding(keys + offsets, self.embedding).cumsum(dim=2)
        return (prefixes + self.levels).flatten(1, 2)

    def _bias(self, pieces: Tensor, places: Tensor) -> Tensor:
        """(B, T) pieces and places of the items that tokens belong to -> (B, H, T, T)."""
        distances = places.unsqueeze(2) - places.unsqueeze(1)
        return own_past(pieces) - self.slopes * distances.unsqueeze(1)

    def _read(self, states: Tensor, pieces: Tensor, places: Tensor) -> Tensor:
        """(B, T, d) embedded tokens of (B, w) items -> (B, T, d) states after each."""
        per_token = (items.repeat_interleave(self.depth, dim=1) for items in (pieces, places))
        bias = self._bias(*per_token).to(states.dtype)
        states = F.dropout(states, self.shape.dropout, self.training)
        for attention, feed_forward in self._layers():
            states = feed_forward(attention(states, bias))
        normed: Tensor = self.norm(states)
        return normed

    def _project(self, states: Tensor, level: int) -> Tensor:
        first = self._offsets[level]
        return F.linear(states, self.output[first : first + self.level_sizes[level]])

    def encode(self, inputs: dict[str, Tensor]) -> Memory:
        """Collated histories, one to a row, as embedded tokens."""
        where = (inputs["pieces"] > 0).repeat_interleave(self.depth, dim=1)
        return Memory(self.embedded(inputs), where)

    def start(self, memory: Memory) -> HistoryCache:
        """The cache of B histories after which nothing is written yet: their keys and values."""
        states, where, layers = memory.states, memory.where, []
        places = torch.arange(where.shape[1], device=where.device) // self.depth
        bias = self._bias(where.long(), places.expand_as(where)).to(states.dtype)
        for attention, feed_forward in self._layers():
            layers.append(memory_of(attention, states))
            states = feed_forward(attention(states, bias))
        lengths = where.sum(dim=1)
        last = states[torch.arange(len(states), device=states.device), lengths - 1]
        distances = (lengths // self.depth).unsqueeze(1) - places  # of the item that is written, (B, S)
        of_history = padding_bias(where) - self.slopes * distances[:, None, None]
        return HistoryCache.start(layers, of_history, self.norm(last))

    def step(
        self, cache: HistoryCache, token: Tensor | None = None, parent: Tensor | None = None
    ) -> tuple[Tensor, HistoryCache]:
        """Scores of the next level's tokens after one more token, without dropout.

        Args:
            cache: from `start` or an earlier `step`; left as it was, so a prefix may branch.
            token: (R,) int64 tokens of the level before, R = B * A with the A beams of a row
                together; None in the first step, which has R = B.
            parent: (R,) int64, the row of the step before that each row continues.

        Returns: (R, V) float logits of this level, and the next cache.
        """
        if token is None:
            return self._project(cache.last, 0), cache
        level = len(cache.past)
        prefix = self.embedding.index_select(0, token + self._offsets[level])
        if level:
            prefix = prefix + (cache.prefix if parent is None else cache.prefix.index_select(0, parent))
        states = prefix + self.levels[level]
        ancestors = cache.ancestors_of(parent)
        new: list[LayerMemory] = []
        for at, (attention, feed_forward) in enumerate(self._layers()):
            states, own = cached_layer(attention, states, cache, at, ancestors)
            states = feed_forward(states)
            new.append(own)
        logits = self._project(self.norm(states), level + 1)
        return logits, cache.after(new, ancestors, prefix)

    def grown(self, level_sizes: Sequence[int], own: Iterable[tuple[Sequence[int], State]] = ()) -> Self:
        """A twin of other vocabulary sizes that shares every weight but the token tables with this one.

        Args:
            level_sizes: a new token starts as the mean of its level.
            own: not used: no item has a row of its own.
        """
        del own
        twin = copy.copy(self)
        twin._parameters = dict(self._parameters)  # its own names for them
        for name in ("embedding", "output"):
            levels = getattr(self, name).detach().split(self.level_sizes)
            pairs = zip(levels, level_sizes, strict=True)
            setattr(twin, name, nn.Parameter(torch.cat([resized(rows, size) for rows, size in pairs])))
        twin.level_sizes = tuple(level_sizes)
        return twin


def collate_keys(prepared: SpeltRows, rows: np.ndarray) -> dict[str, Tensor]:
    """`keys` (B, w, L), `pieces` (counted from 1, 0 where there is nothing) and `places` (B, w), int64, and
    `texts` (B, w, e) float where they are read."""
    items = prepared.rows.items[rows]
    per_item = {"keys": prepared.keys} | ({} if prepared.texts is None else {"texts": prepared.texts})
    where = (items >= 0)[..., None]
    found = {
        name: np.where(where, of[np.maximum(items, 0)], of.dtype.type(0)) for name, of in per_item.items()
    }
    return {
        **{name: torch.from_numpy(array) for name, array in found.items()},
        "pieces": torch.from_numpy(prepared.rows.pieces[rows] + 1),
        "places": torch.from_numpy(prepared.rows.places[rows]),
    }


def with_followers(inputs: dict[str, Tensor], keys: Tensor, asked: Tensor) -> dict[str, Tensor]:
    """Rows in which every piece is followed by what comes after its last item.

    Args:
        inputs: `keys`, `pieces` and `places` of B packed rows, pieces side by side from the first column.
        keys: (B, w, L) of what follows each item.
        asked: (B, w) bool, where there is such.

    Returns: the same three, (B, w', ...) with w' up to the number of pieces of a row wider, and whatever else
        `inputs` says of items, 0 for those that follow.

    Raises:
        InputError: within a piece, what follows an item is not the next item.
    """
    pieces = inputs["pieces"]
    real = pieces > 0
    same = F.pad(
        real[:, 1:] & (pieces[:, 1:] == pieces[:, :-1]), (0, 1)
    )  # the next item is of the same piece
    following = inputs["keys"].roll(-1, dims=1)
    if not bool((asked == real).all()) or bool((keys != following)[same].any()):
        raise InputError(
            "this objective learns every item after the one before; give the stage packed histories "
            "(`EveryPrefix`) as examples"
        )
    last = (real & ~same).long()
    column = torch.arange(pieces.shape[1], device=pieces.device) + last.cumsum(dim=1) - last
    width = int((column + last)[real].max()) + 1 if bool(real.any()) else pieces.shape[1]
    row = torch.arange(len(pieces), device=pieces.device).unsqueeze(1).expand_as(pieces)
    followers = {"keys": keys, "pieces": pieces, "places": inputs["places"] + 1}
    followers |= {name: torch.zeros_like(own) for name, own in inputs.items() if name not in followers}
    found = {}
    for name, follower in followers.items():
        own = inputs[name]
        out = own.new_zeros(len(own), width, *own.shape[2:])
        out[row[real], column[real]] = own[real]
        out[row[last > 0], column[last > 0] + 1] = follower[last > 0]
        found[name] = out
    return found


def resized(rows: Tensor, size: int) -> Tensor:
    """A table (V, d) of `size` rows: the first of them, and the mean of all for those that are new."""
    return torch.cat([rows[:size], rows.mean(dim=0).expand(max(0, size - len(rows)), -1)])
