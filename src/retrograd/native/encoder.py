"""An encoder of the T5 kind in the compiled core: tokens in, memory states out.

Knows arrays only, and checks them, so that the core never reads outside one. Shapes: B texts, S slots,
d width, H heads, k head width, I = H * k, F feed-forward width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from retrograd.native.arrays import checked
from retrograd.native.decoder import BLOCK_ROWS
from retrograd.native.library import Library, TextsStructure
from retrograd.native.pointers import Pointers


@dataclass(frozen=True, kw_only=True)
class EncoderShape:
    """Sizes of an encoder."""

    width: int
    heads: int
    head_width: int
    feed_forward: int
    gated: bool
    """As in `DecoderShape`."""

    epsilon: float

    def __post_init__(self) -> None:
        if min(self.width, self.heads, self.head_width, self.feed_forward) < 1:
            raise ValueError(f"{self}: every size must be at least 1")

    def layer_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each array of a layer."""
        d, inner = self.width, self.heads * self.head_width
        return {
            "own_norm": (d,),
            "qkv": (d, 3 * inner),
            "own_out": (inner, d),
            "feed_norm": (d,),
            "wide": (d, self.feed_forward * (1 + self.gated)),
            "narrow": (self.feed_forward, d),
        }


class EncoderWeights(NamedTuple):
    """Arrays of an encoder, all float32."""

    embedding: np.ndarray
    """(rows, d)."""

    final_norm: np.ndarray
    """(d,)."""

    layers: tuple[dict[str, np.ndarray], ...]
    """By the names of `EncoderShape.layer_shapes`."""


class NativeEncoder:
    """Weights packed for this processor; calls may run in several threads at once.

    Args:
        target: a processor target of the library; None is its best.

    Raises:
        TypeError, ValueError: an array of another type or shape than `shape` gives.
    """

    def __init__(
        self, library: Library, shape: EncoderShape, weights: EncoderWeights, target: str | None = None
    ) -> None:
        self.shape, self.num_tokens = shape, len(weights.embedding)
        made = Pointers(depth=0, output_scale=1.0, **vars(shape))
        made.point_stack(weights.embedding, weights.final_norm, weights.layers, shape.layer_shapes())
        self._packed = library.pack(made.value, target)
        self.target = self._packed.target

    def encode(
        self,
        tokens: np.ndarray,
        where: np.ndarray,
        position_bias: np.ndarray,
        *,
        threads: int = 1,
        block_rows: int = BLOCK_ROWS,
    ) -> np.ndarray:
        """(B, S, d) float32 states, zeros at padding.

        Args:
            tokens: (B, S) int64.
            where: (B, S) bool, False for padding.
            position_bias: (H, S, S) float32 by query and key.
            threads: at most so many at once.

        Raises:
            TypeError, ValueError: an argument that does not fit, or a token that is not in the table.
            MemoryError: there was none.
        """
        tokens = checked("tokens", tokens, np.int64, (None, None))
        batch, slots = tokens.shape
        where = checked("where", where, np.bool_, (batch, slots))
        bias = checked("position_bias", position_bias, np.float32, (self.shape.heads, slots, slots))
        if min(threads, block_rows) < 1:
            raise ValueError(f"threads={threads}, block_rows={block_rows}: at least 1 each")
        real = tokens[where]
        if real.size and not 0 <= real.min() <= real.max() < self.num_tokens:
            raise ValueError(f"tokens {real.min()} to {real.max()}; the table has {self.num_tokens} rows")
        states = np.empty((batch, slots, self.shape.width), np.float32)
        inputs = (array.ctypes.data for array in (tokens, where, bias, states))
        self._packed.encode(
            TextsStructure(batch, slots, *inputs, min(threads, 2**20), min(block_rows, 2**20))
        )
        return states
