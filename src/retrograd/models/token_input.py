"""A token encoder trained from scratch: its own word pieces, its own small transformer.

Needs nothing but the collection. Knows neither docids nor objectives.
Shapes: n texts, B rows of a batch, S tokens of the longest of them, d width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn

from retrograd.artifacts import array_to_text, text_to_array
from retrograd.errors import ArtifactError
from retrograd.models.blocks import BlockShape, EncoderStack
from retrograd.models.inputs import Memory, Role
from retrograd.models.plain_text import encodable
from retrograd.models.ragged import Ragged
from retrograd.types import State

UNKNOWN, END = SPECIAL = ("[unk]", "[end]")
EMPTY = np.zeros(0, np.int32)


@dataclass(frozen=True, kw_only=True)
class TokenInput:
    """Word pieces learnt from the collection under a transformer encoder without pretraining."""

    width: int = 128
    layers: int = 2
    heads: int = 4
    feed_forward: int = 4
    """Inner width of the feed-forward layers, as a multiple of `width`."""

    dropout: float = 0.1
    vocab_size: int = 8000
    """Word pieces at most; a small collection gives fewer."""

    max_tokens: int = 64
    """Later tokens of a text are cut off; the end token always stays."""

    relative_positions: bool = True
    """False reads a text as a bag of tokens."""

    def __post_init__(self) -> None:
        self._shape()
        if self.vocab_size < 3 or self.max_tokens < 2:
            raise ValueError(
                f"vocab_size={self.vocab_size} must be at least 3, max_tokens={self.max_tokens} 2"
            )

    def _shape(self) -> BlockShape:
        return BlockShape.of_width(
            self.width, self.layers, self.heads, self.feed_forward, self.dropout, self.relative_positions
        )

    def fit(self, texts: Sequence[str]) -> State:
        """Learn the word pieces."""
        tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Metaspace()]
        )
        # pair merging without a continuation mark: with one the library numbers the pieces by hash order
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab_size, special_tokens=list(SPECIAL), show_progress=False
        )
        tokenizer.train_from_iterator(encodable(texts), trainer)
        return {"tokenizer": text_to_array(tokenizer.to_str())}

    def build(self, state: State, seed: int = 0) -> TokenEncoder:
        """The module; its weights depend on `seed` alone."""
        reader = TokenReader(array_to_text(state["tokenizer"]), SPECIAL.index(END), self.max_tokens)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return TokenEncoder(reader, self._shape())


class TokenReader:
    """Texts to token ids that all end with the end token, so that no text is empty.

    Args:
        text: a tokenizer in the JSON of the `tokenizers` library.
        end: id of the end token.

    Raises:
        ArtifactError: the tokenizer is damaged or lacks the end token.
    """

    def __init__(self, text: str, end: int, max_tokens: int) -> None:
        try:
            self._tokenizer = Tokenizer.from_str(text)
        except Exception as error:  # the library raises nothing narrower
            raise ArtifactError(f"the tokenizer cannot be read: {error}") from None
        self.text, self.last, self._max_tokens = text, end, max_tokens
        self.vocab_size: int = self._tokenizer.get_vocab_size()
        if not 0 <= end < self.vocab_size:
            raise ArtifactError(f"the tokenizer has {self.vocab_size} tokens and no end token {end}")
        self.fingerprint = hashlib.sha256(f"{max_tokens}\n{end}\n{text}".encode()).hexdigest()

    def read(self, texts: Sequence[str]) -> Ragged:
        """(n,) ragged rows of int32 ids."""
        keep = self._max_tokens - 1
        encoded = self._tokenizer.encode_batch_fast(encodable(texts), add_special_tokens=False)
        return Ragged.of([np.asarray([*row.ids[:keep], self.last], np.int32) for row in encoded], EMPTY)


class TokenEncoder(nn.Module):
    """Implements `models.inputs.InputEncoder` over a token reader and an encoder stack.

    Args:
        embed_rows: rows of the token table, where it has more than the tokenizer has tokens.
    """

    def __init__(self, reader: TokenReader, shape: BlockShape, embed_rows: int = 0) -> None:
        super().__init__()
        self.width, self.fingerprint = shape.width, reader.fingerprint
        self.reader = reader
        rows = max(embed_rows, reader.vocab_size)
        self.embedding = nn.Parameter(torch.randn(rows, shape.width))
        self.stack = EncoderStack(shape)

    def prepare(self, texts: Sequence[str], role: Role = "query") -> Ragged:
        """Token ids; both roles are read alike."""
        return self.reader.read(texts)

    def collate(self, prepared: Ragged, rows: np.ndarray) -> dict[str, Tensor]:
        """`tokens` (B, S) int64 and `where` (B, S) bool."""
        tokens, where = prepared.padded(rows)
        return {"tokens": tokens.long(), "where": where}

    def forward(self, batch: dict[str, Tensor]) -> Memory:
        """One memory state per token."""
        states = self.stack(F.embedding(batch["tokens"], self.embedding), batch["where"])
        return Memory(states, batch["where"])
