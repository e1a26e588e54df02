"""A causal transformer over codes of items that also reads their texts and names the next item by a vector.

It writes keys as `code_sequences` does, and its state after a history is compared, by cosine, with a linear
map of the text of every item: two heads on one state (Yang et al. 2024, arXiv:2411.18814). The text of an
item is added to its last token alone, which stands for the whole item: while its key is written nothing says
what it is. Items that came later are read, written and compared by what they say.
Shapes: n items, e dimensions of a text's vector, B rows of a batch, w items of a row, L levels, P targets,
d width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from retrograd.models.blocks import BlockShape
from retrograd.models.code_sequences import (
    CodeTransformer,
    CodeTransformerModel,
    SpeltRows,
    keys_of_items,
)
from retrograd.models.inference import device_of, without_dropout
from retrograd.models.sequential import TEXTS, ItemTransformer, Rows, check_length
from retrograd.models.text_encoder import MiniLM
from retrograd.types import State, TextEncoder, TextEncoderConfig


@dataclass(frozen=True, kw_only=True)
class TextCodeTransformer(CodeTransformer):
    """One vector per token and a map of texts; what follows a history is written, and compared with texts."""

    encoder: TextEncoderConfig = field(default_factory=MiniLM)
    """Reads the texts."""

    text_dropout: float = 0.2
    """On the vectors of texts that are read in histories."""

    temperature: float = 0.07
    """Cosines are divided by it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.temperature > 0 or not 0 <= self.text_dropout < 1:
            raise InputError(
                f"temperature={self.temperature} must be positive and text_dropout={self.text_dropout} "
                "in [0, 1)"
            )

    @property
    def _reader(self) -> ItemTransformer:
        """Whoever reads texts in the same way, for what is kept of them."""
        return ItemTransformer(reads_text=True, encoder=self.encoder)

    def fit(self, texts: Sequence[str]) -> State:
        """What the texts of the items say."""
        return self._reader.fit(texts)

    def build(self, state: State, table: DocidTable, seed: int = 0) -> TextCodeTransformerModel:
        """The network for a table's vocabulary; the same seed gives the same weights.

        Raises:
            InputError: as `code_sequences.keys_of_items`.
        """
        keys, encoder = keys_of_items(table), self._reader.reader_of(state)
        assert encoder is not None, "it reads text"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return TextCodeTransformerModel(
                self, self._shape(), table.level_sizes, keys, state[TEXTS], encoder
            )


class TextCodeTransformerModel(CodeTransformerModel):
    """The network.

    Args:
        keys: (n, L) int64, and
        texts: (n, e) float32, of each item that training may name.
    """

    texts: Tensor

    def __init__(
        self,
        config: TextCodeTransformer,
        shape: BlockShape,
        level_sizes: Sequence[int],
        keys: np.ndarray,
        texts: np.ndarray,
        encoder: TextEncoder,
    ) -> None:
        super().__init__(shape, config.length, level_sizes, keys)
        self.temperature, self._text_dropout = config.temperature, config.text_dropout
        self.fingerprint, self._encoder = encoder.fingerprint, encoder
        self.register_buffer("texts", torch.from_numpy(texts), persistent=False)
        self.from_text = nn.Linear(texts.shape[1], shape.width, bias=False)
        self.compared = nn.Linear(texts.shape[1], shape.width, bias=False)

    def prepare_sequences(self, rows: Rows) -> SpeltRows:
        """As `CodeTransformerModel.prepare_sequences`."""
        check_length(rows, self.length)
        return SpeltRows(rows, self.keys.cpu().numpy(), self.texts.cpu().numpy())

    def embedded(self, inputs: dict[str, Tensor]) -> Tensor:
        """Collated items -> (B, w * L, d)."""
        read = self.from_text(F.dropout(inputs["texts"], self._text_dropout, self.training))
        before = read.new_zeros(*read.shape[:2], self.depth - 1, read.shape[2])
        return self.embed(inputs["keys"]) + torch.cat([before, read.unsqueeze(2)], dim=2).flatten(1, 2)

    def item_vectors(self, texts: Tensor) -> Tensor:
        """(m, e) vectors of texts -> (m, d): what states are compared with, of length `1 / temperature`."""
        return F.normalize(self.compared(texts), dim=1) / self.temperature

    def vectors_of_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(m, e) float32 of items that training did not name."""
        return self._encoder.encode_document(texts)

    def all_item_vectors(self, texts: np.ndarray) -> np.ndarray:
        """`item_vectors` of (m, e) float32, without gradient."""
        with torch.inference_mode():
            found = self.item_vectors(torch.from_numpy(texts).to(device_of(self)))
            return np.array(found.float().cpu().numpy())

    def last_states(self, inputs: dict[str, Tensor]) -> np.ndarray:
        """(B, d) float32 of length 1: the state after each of B collated histories, without dropout."""
        with without_dropout(self), torch.inference_mode():
            states = F.normalize(self.start(self.encode(inputs)).last, dim=1)
            return np.array(states.float().cpu().numpy())
