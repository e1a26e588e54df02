"""A decoder of the T5 kind in the compiled core: packed weights, and the beam over a trie.

Knows arrays only: a memory to attend to, a trie to walk. Everything is checked here, so that the core
never reads outside an array. Shapes: B queries, S memory slots, d width, H heads, k head width,
I = H * k, F feed-forward width, L levels, N trie nodes, w beams.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from retrograd.native.arrays import checked
from retrograd.native.library import LAYER_MATRICES, PRECISIONS, AnswersStructure, Library, RequestStructure
from retrograd.native.pointers import Pointers
from retrograd.native.trie import NativeTrie

NORMALISE = ("level", "children", "none")
"""In the order of the core's constants."""

BLOCK_ROWS = 400
"""Decoder rows that pass through the layers together, about: they and the weights share the cache."""

MOST_FLOATS = 2**40
"""No search may need more; a mistyped size is an error and not a crash."""


@dataclass(frozen=True, kw_only=True)
class DecoderShape:
    """Sizes of a decoder."""

    width: int
    heads: int
    head_width: int
    feed_forward: int
    gated: bool
    """GELU of one half of the wide layer times the other, instead of ReLU."""

    epsilon: float
    output_scale: float
    """What states are multiplied by before the output table."""

    level_sizes: tuple[int, ...]
    """(L) tokens of each level."""

    level_rows: tuple[int, ...]
    """(L) row of each level's token 0 in the tables."""

    def __post_init__(self) -> None:
        if min(self.width, self.heads, self.head_width, self.feed_forward, len(self.level_sizes)) < 1:
            raise ValueError(f"{self}: every size must be at least 1")
        if len(self.level_rows) != len(self.level_sizes) or min(self.level_sizes) < 1:
            raise ValueError(f"level sizes {self.level_sizes} and rows {self.level_rows} do not fit together")

    @property
    def inner(self) -> int:
        """I."""
        return self.heads * self.head_width

    def layer_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each array of a layer."""
        d, inner, wide = self.width, self.inner, self.feed_forward * (1 + self.gated)
        return dict(
            zip(
                LAYER_MATRICES,
                [(d,), (d, 3 * inner), (inner, d), (d,), (d, inner), (d, 2 * inner), (inner, d), (d,)]
                + [(d, wide), (self.feed_forward, d)],
                strict=True,
            )
        )


class DecoderWeights(NamedTuple):
    """Arrays of a decoder, all float32."""

    begin: np.ndarray
    """(d,) what the first step reads."""

    embedding: np.ndarray
    """(rows, d) what later steps read."""

    output: np.ndarray
    """(rows, d)."""

    final_norm: np.ndarray
    """(d,)."""

    position_bias: np.ndarray
    """(H, L, L) by query and key."""

    layers: tuple[dict[str, np.ndarray], ...]
    """By the names of `DecoderShape.layer_shapes`."""


class Found(NamedTuple):
    """The best keys of each query, best first; equal scores in the order of the keys."""

    keys: np.ndarray
    """(B, w) int64, -1 behind the last answer."""

    scores: np.ndarray
    """(B, w) float32, -inf where there is no answer."""

    paths: np.ndarray
    """(B, w, L) int64 tokens, -1 behind the end of a key."""

    steps: np.ndarray
    """(B, w, L) float32, 0 behind the end of a key."""


def check_precision(precision: str) -> None:
    """ValueError unless it is one of `PRECISIONS`."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r}; choose one of {', '.join(PRECISIONS)}")


class NativeDecoder:
    """Weights packed for this processor; searches may run in several threads at once.

    Args:
        target: a processor target of the library; None is its best.
        precision: what matrices and tables are kept in: `fp32`, `bf16`, or `int8` with one step for each
            column of a matrix and each row of a table. Sums are floats at any of them.

    Raises:
        TypeError, ValueError: an array of another type or shape than `shape` gives, or no such precision.
    """

    def __init__(
        self,
        library: Library,
        shape: DecoderShape,
        weights: DecoderWeights,
        target: str | None = None,
        *,
        precision: str = "fp32",
    ) -> None:
        check_precision(precision)
        self.shape, self.precision = shape, precision
        pointers = _structure_of(shape, weights)
        pointers.value.precision = PRECISIONS.index(precision)
        self._packed = library.pack(pointers.value, target)
        self.target, self.num_bytes = self._packed.target, self._packed.num_bytes

    def search(
        self,
        memory: np.ndarray,
        where: np.ndarray,
        trie: NativeTrie,
        *,
        width: int,
        normalise: str = "level",
        prior: np.ndarray | None = None,
        threads: int = 1,
        block_rows: int = BLOCK_ROWS,
    ) -> Found:
        """The best complete keys of each query.

        Args:
            memory: (B, S, d) float32.
            where: (B, S) bool, False for padding.
            width: beams kept per query.
            normalise: a step's log-probability is over the `level`, over the legal `children`, or the
                raw logit (`none`).
            prior: (B, N) float32 added to a prefix's score to decide which beams stay.
            threads: at most so many at once.

        Raises:
            TypeError, ValueError: an argument that does not fit.
            MemoryError: the beams need more than there is.
        """
        self._check_trie(trie)
        memory = checked("memory", memory, np.float32, (None, None, self.shape.width))
        batch, slots = memory.shape[:2]
        where = checked("where", where, np.bool_, (batch, slots))
        if prior is not None:
            prior = checked("prior", prior, np.float32, (batch, trie.num_nodes))
        if normalise not in NORMALISE:
            raise ValueError(f"normalise={normalise!r}; choose one of {', '.join(NORMALISE)}")
        if min(width, threads, block_rows) < 1:
            raise ValueError(f"width={width}, threads={threads}, block_rows={block_rows}: at least 1 each")
        width, depth = max(1, min(width, trie.num_keys)), len(self.shape.level_sizes)
        found = _nothing_found(batch, width, depth)
        count = np.zeros(batch, np.int32)
        request = RequestStructure(
            batch, slots, memory.ctypes.data, where.ctypes.data,
            None if prior is None else prior.ctypes.data,
            width, NORMALISE.index(normalise), min(threads, 2**20), min(block_rows, 2**20),
        )  # fmt: skip
        answers = AnswersStructure(*(array.ctypes.data for array in (*found, count)))
        self._packed.search(trie.structure, request, answers)
        most = int(count.max(initial=0))
        return Found(*(array[:, :most] for array in found))

    def _check_trie(self, trie: NativeTrie) -> None:
        sizes = self.shape.level_sizes
        if trie.depth > len(sizes):
            raise ValueError(f"the trie has {trie.depth} levels but the decoder {len(sizes)}")
        for level, (largest, size) in enumerate(zip(trie.largest_tokens, sizes, strict=False)):
            if largest >= size:
                raise ValueError(f"level {level}: the trie has token {largest} but the decoder {size} tokens")


def _nothing_found(batch: int, width: int, depth: int) -> Found:
    if batch * width * depth > MOST_FLOATS:
        raise ValueError(f"{batch} queries, {width} beams and {depth} levels are too many at once")
    return Found(
        np.full((batch, width), -1, np.int64),
        np.full((batch, width), -np.inf, np.float32),
        np.full((batch, width, depth), -1, np.int64),
        np.zeros((batch, width, depth), np.float32),
    )


def _structure_of(shape: DecoderShape, weights: DecoderWeights) -> Pointers:
    rows, depth = len(weights.embedding), len(shape.level_sizes)
    for first, size in zip(shape.level_rows, shape.level_sizes, strict=True):
        if first < 0 or first + size > rows:
            raise ValueError(f"tokens {first} to {first + size} are not in a table of {rows} rows")
    sizes = ("width", "heads", "head_width", "feed_forward", "gated", "epsilon", "output_scale")
    made = Pointers(depth=depth, **{name: getattr(shape, name) for name in sizes})
    made.point("level_sizes", np.asarray(shape.level_sizes, np.int32), np.int32, (depth,))
    made.point("level_rows", np.asarray(shape.level_rows, np.int64), np.int64, (depth,))
    made.point("begin", weights.begin, np.float32, (shape.width,))
    made.point("output", weights.output, np.float32, (rows, shape.width))
    made.point("position_bias", weights.position_bias, np.float32, (shape.heads, depth, depth))
    made.point_stack(weights.embedding, weights.final_norm, weights.layers, shape.layer_shapes())
    return made
