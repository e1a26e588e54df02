"""Queries and documents as unit vectors whose dot product is relevance.

Knows texts and vectors; the nearest-neighbour search over them, the negatives and the loss live
elsewhere, the ways from a text to a vector in `towers`.
Karpukhin et al., "Dense passage retrieval", EMNLP 2020, equation 1.
Shapes: n texts, B rows of a batch, d dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from retrograd.docid_table import DocidTable
from retrograd.models.embedding_cache import cached
from retrograd.models.inputs import Memory, Role
from retrograd.models.lexical_channel import LexicalChannel
from retrograd.models.text_encoder import MiniLM, SentenceEncoder
from retrograd.models.towers import (
    POOLS,
    FineTunedTower,
    HeadedTowers,
    PooledTower,
    Towers,
    embed_prepared,
    embed_texts,
)
from retrograd.types import State, TextEncoder, TextEncoderConfig

MAX_SCALE = 100.0
"""Largest factor on a cosine: a temperature of 0.01. Beyond it the gradient is that of an argmax."""

WORDS = "lexical."
"""Before the names of the channel's arrays among those of the encoder."""


@dataclass(frozen=True, kw_only=True)
class FrozenVectors:
    """A text encoder as it comes: nothing is trained."""

    encoder: TextEncoderConfig = field(default_factory=MiniLM)

    def fit(self, texts: Sequence[str]) -> State:
        """What the text encoder learns of the collection."""
        return self.encoder.fit(texts)

    def build(self, state: State, table: DocidTable | None = None, seed: int = 0) -> FrozenVectorModel:
        """The model; neither table nor seed matter to it."""
        del table, seed
        return FrozenVectorModel(cached(self.encoder.build(state)))


@dataclass(frozen=True, kw_only=True)
class DualEncoder:
    """One head for queries and one for documents over a frozen encoder, or the encoder fine-tuned."""

    encoder: Any = field(default_factory=MiniLM)
    """A text encoder, frozen under the heads; or an input config of `models` (`TokenInput`, `T5Input`),
    which then learns itself, is pooled, and has no heads."""

    hidden: int = 0
    """Width of the heads' hidden layer; 0 makes each head one linear map."""

    trainable_encoder: bool = False
    """True: no heads; one BERT, shared by both sides, learns (needs MiniLM)."""

    shared: bool = False
    """True: one head serves both sides."""

    pool: str = "mean"
    """How an encoder that learns makes one vector of its token states: `mean`, `first` (the state of the
    first token) or `attention`."""

    dropout: float = 0.1
    """On the input of the heads, or inside the fine-tuned BERT."""

    initial_temperature: float = 0.05
    """The learned `scale` starts at its inverse."""

    lexical: LexicalChannel | None = None
    """Word vectors beside the towers; None has none."""

    def __post_init__(self) -> None:
        if self.hidden < 0:
            raise ValueError(f"hidden={self.hidden} must not be negative")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} must be in [0, 1)")
        if not 1 / MAX_SCALE <= self.initial_temperature <= 1:
            raise ValueError(
                f"initial_temperature={self.initial_temperature} must be in [{1 / MAX_SCALE}, 1]"
            )
        if self.pool not in POOLS:
            raise ValueError(f"pool={self.pool!r}; choose one of {', '.join(POOLS)}")
        if self.trainable_encoder and not isinstance(self.encoder, MiniLM):
            raise TypeError(f"{type(self.encoder).__name__} cannot be fine-tuned; use MiniLM")

    def fit(self, texts: Sequence[str]) -> State:
        """What the text encoder learns of the collection, and the words of the channel.

        Raises:
            TypeError: a channel beside an encoder that has no vectors before it is trained.
        """
        learnt: State = self.encoder.fit(texts)
        if self.lexical is None:
            return learnt
        encoder = self.encoder.build(learnt)
        if not hasattr(encoder, "encode_document"):
            raise TypeError(f"{type(self.encoder).__name__} has no vectors to start word vectors from")
        words = self.lexical.fit(texts, cached(encoder).encode_document(texts))
        return learnt | {WORDS + name: array for name, array in words.items()}

    def build(self, state: State, table: DocidTable | None = None, seed: int = 0) -> DualEncoderModel:
        """The model; step 0 gives the frozen encoder's vectors, whatever the seed."""
        del table
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            towers = self._towers(self.encoder.build(state))
            if self.lexical is not None:
                own = {k.removeprefix(WORDS): array for k, array in state.items() if k.startswith(WORDS)}
                towers = self.lexical.build(own, towers)
            return DualEncoderModel(towers, self.initial_temperature)

    def _towers(self, encoder: Any) -> Towers:
        if isinstance(encoder, nn.Module) and hasattr(encoder, "width"):
            return PooledTower(encoder, self.pool)
        if self.trainable_encoder:
            assert isinstance(encoder, SentenceEncoder)
            return FineTunedTower(encoder, self.dropout, self.pool)
        if self.pool != "mean":
            raise ValueError(f"pool={self.pool!r} needs an encoder that learns; frozen ones pool as they do")
        return HeadedTowers(cached(encoder), self.hidden, self.dropout, self.shared)


class FrozenVectorModel(nn.Module):
    """A text encoder with the verbs of a model."""

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        self.dimensions, self.fingerprint, self._encoder = encoder.dimensions, encoder.fingerprint, encoder

    def query_vectors(self, texts: Sequence[str]) -> np.ndarray:
        """(n, d) float32, unit rows."""
        return self._encoder.encode_query(texts)

    def document_vectors(self, texts: Sequence[str]) -> np.ndarray:
        """(n, d) float32, unit rows."""
        return self._encoder.encode_document(texts)


class DualEncoderModel(nn.Module):
    """Two towers, one for each side, and the learned temperature between them.

    Args:
        towers: texts to unit vectors, per role.
        initial_temperature: inverse of the first `scale`.
    """

    def __init__(self, towers: Towers, initial_temperature: float) -> None:
        super().__init__()
        self.towers, self.dimensions, self.fingerprint = towers, towers.dimensions, towers.fingerprint
        self.log_scale = nn.Parameter(torch.tensor(-log(initial_temperature)))

    @property
    def scale(self) -> Tensor:
        """() factor on dot products, in [1, 100]: the inverse of a learned temperature."""
        return self.log_scale.clamp(0.0, log(MAX_SCALE)).exp()

    def prepare(self, texts: Sequence[str], role: Role = "query") -> Any:
        """All texts once, without gradient: frozen vectors, or token ids."""
        return self.towers.prepare(texts, role)

    def collate(self, prepared: Any, rows: np.ndarray) -> dict[str, Tensor]:
        """The tensors of some rows (B,)."""
        return self.towers.collate(prepared, rows)

    def embed_queries(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, d) unit vectors, differentiable."""
        vectors: Tensor = self.towers(batch, "query")
        return vectors

    def embed_with_tokens(self, batch: dict[str, Tensor]) -> tuple[Tensor, Memory | None]:
        """(B, d) unit query vectors and, where the towers have them, token states (B, L, d)."""
        return self.towers.with_tokens(batch)

    def embed_documents(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, d) unit vectors, differentiable."""
        vectors: Tensor = self.towers(batch, "document")
        return vectors

    def vectors_of_prepared(self, prepared: Any, role: Role) -> np.ndarray:
        """(n, d) float32, unit rows, without dropout, of what `prepare` returned."""
        return embed_prepared(self.towers, prepared, role)

    def query_vectors(self, texts: Sequence[str]) -> np.ndarray:
        """(n, d) float32, unit rows, without dropout."""
        return embed_texts(self.towers, texts, "query")

    def document_vectors(self, texts: Sequence[str]) -> np.ndarray:
        """(n, d) float32, unit rows, without dropout."""
        return embed_texts(self.towers, texts, "document")
