"""A causal transformer that says all codes of the next item at once: one head and one softmax per code.

Hou et al. 2025, "Generating Long Semantic IDs in Parallel for Recommendation" (arXiv:2506.05781). Codes are
not ordered: an item is read as the mean of the vectors of its codes, so one that came later is read and
written like any other. Reading is `sequential`'s.
Shapes: n items, m codes of an item, K codes of a book, P states, d width.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from retrograd.models.blocks import BlockShape
from retrograd.models.id_tree import key_of_items
from retrograd.models.inference import device_of
from retrograd.models.sequential import ItemTransformer, ItemTransformerModel
from retrograd.types import State


def codes_of_items(table: DocidTable) -> np.ndarray:
    """(n, m) int64 of every document.

    Raises:
        InputError: keys of different lengths, or a document without one.
    """
    codes: np.ndarray = table.padded[key_of_items(table)]
    if (codes < 0).any() or table.shared_vocabulary:
        raise InputError(
            "this model needs as many codes for every item; choose docids such as Quantised with "
            "collisions=expand"
        )
    return codes


@dataclass(frozen=True, kw_only=True)
class ParallelCodeTransformer(ItemTransformer):
    """One vector per code; a history is read by causal self-attention, and each code has a head."""

    temperature: float = 0.03
    """Of the cosine between what a head says and a code."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.temperature > 0:
            raise InputError(f"temperature={self.temperature} must be positive")
        if self.reads_text:
            raise InputError("reads_text: items are read by their codes here")

    def build(self, state: State, table: DocidTable | None = None, seed: int = 0) -> ParallelCodeModel:
        """The network for a table's codes; the same seed gives the same weights.

        Raises:
            InputError: no docids, or keys of different lengths.
        """
        del state
        if table is None:
            raise InputError("this model writes docids; give the recipe a scheme of docids")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            codes = codes_of_items(table)
            return ParallelCodeModel(self._shape(), self.length, table.level_sizes, codes, self.temperature)


class ParallelCodeModel(ItemTransformerModel):
    """Packed histories to states; states to a distribution per code."""

    codes: Tensor
    first: Tensor

    def __init__(
        self,
        shape: BlockShape,
        length: int,
        sizes: tuple[int, ...],
        codes: np.ndarray,
        temperature: float,
    ) -> None:
        super().__init__(shape, length, sum(sizes), None, None)  # its table has a row for every code
        self.count, self.sizes, self.temperature = len(codes), sizes, temperature
        books, width = len(sizes), shape.width
        self.inner = nn.Parameter(torch.randn(books, width, width) * width**-0.5)
        self.bias = nn.Parameter(torch.zeros(books, width))
        self.outer = nn.Parameter(torch.zeros(books, width, width))
        first = torch.tensor([0, *sizes[:-1]]).cumsum(0)
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("codes", torch.from_numpy(codes), persistent=False)

    def item_vectors(self, items: Tensor | None = None) -> Tensor:
        """(..., d) of some items, (n, d) of all: the mean of their codes, as long as one of them."""
        codes = self.codes if items is None else F.embedding(items, self.codes)
        return self.vectors_of_codes(codes)

    def grown(self, level_sizes: Sequence[int], own: Iterable[tuple[Sequence[int], State]] = ()) -> Self:
        """Itself: items that come later are made of the same codes."""
        assert tuple(level_sizes) == self.sizes, "codebooks are frozen"
        del own
        return self

    def vectors_of_codes(self, codes: Tensor) -> Tensor:
        """(..., m) int64 -> (..., d); independent codes would be `sqrt(m)` times as short in the mean."""
        mean: Tensor = F.embedding(codes + self.first, self.table).mean(dim=-2)
        return mean * math.sqrt(len(self.sizes))

    def log_probabilities(self, states: Tensor) -> list[Tensor]:
        """(P, d) -> per book (P, K): softmax of `cos(h + W2 silu(W1 h), code) / temperature`."""
        inner = F.silu(torch.einsum("pd,mde->mpe", states, self.inner) + self.bias.unsqueeze(1))
        said = F.normalize(states + torch.einsum("mpe,mef->mpf", inner, self.outer), dim=-1)
        books = torch.split(F.normalize(self.table, dim=-1), list(self.sizes))
        return [
            (head @ book.T / self.temperature).log_softmax(dim=-1)
            for head, book in zip(said, books, strict=True)
        ]

    def vectors_of_all(self, codes: np.ndarray) -> np.ndarray:
        """(c, m) codes -> (c, d) float32."""
        with torch.inference_mode():
            found = self.vectors_of_codes(torch.from_numpy(codes).to(device_of(self)))
            return np.array(found.float().cpu().numpy())

    def mean_log_probability(self, states: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """(q, d) states, (c, m) codes -> (q, c) float32: mean log-probability of an item's codes."""
        device = device_of(self)
        wanted = torch.from_numpy(codes).to(device)
        with torch.inference_mode():
            logs = self.log_probabilities(torch.from_numpy(states).to(device))
            total = sum((log[:, column] for log, column in zip(logs, wanted.T, strict=True)), torch.zeros(()))
            return np.array((total / len(logs)).float().cpu().numpy())
