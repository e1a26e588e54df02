"""Queries and documents as unit vectors whose dot product is relevance.

Knows texts and vectors; the nearest-neighbour search over them, the negatives and the loss live
elsewhere. The towers are two trained heads over frozen vectors, or one fine-tuned BERT.
Karpukhin et al., "Dense passage retrieval", EMNLP 2020, equation 1.
Shapes: n texts, B rows of a batch, L tokens of the longest of them, d dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrograd.docid_table import DocidTable
from retrograd.models.embedding_cache import cached
from retrograd.models.inputs import Role
from retrograd.models.ragged import Ragged, batches_by_length
from retrograd.models.text_encoder import MiniLM, SentenceEncoder, encode_as, mean_pool, token_budget
from retrograd.models.trainable_bert import TrainableBert
from retrograd.progress import track
from retrograd.types import State, TextEncoder, TextEncoderConfig

MAX_SCALE = 100.0
"""Largest factor on a cosine: a temperature of 0.01. Beyond it the gradient is that of an argmax."""


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

    encoder: TextEncoderConfig = field(default_factory=MiniLM)
    hidden: int = 0
    """Width of the heads' hidden layer; 0 makes each head one linear map."""

    trainable_encoder: bool = False
    """True: no heads; one BERT, shared by both sides, learns (needs MiniLM)."""

    dropout: float = 0.1
    """On the input of the heads, or inside the fine-tuned BERT."""

    initial_temperature: float = 0.05
    """The learned `scale` starts at its inverse."""

    def __post_init__(self) -> None:
        if self.hidden < 0:
            raise ValueError(f"hidden={self.hidden} must not be negative")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} must be in [0, 1)")
        if not 1 / MAX_SCALE <= self.initial_temperature <= 1:
            raise ValueError(
                f"initial_temperature={self.initial_temperature} must be in [{1 / MAX_SCALE}, 1]"
            )
        if self.trainable_encoder and not isinstance(self.encoder, MiniLM):
            raise TypeError(f"{type(self.encoder).__name__} cannot be fine-tuned; use MiniLM")

    def fit(self, texts: Sequence[str]) -> State:
        """What the text encoder learns of the collection."""
        return self.encoder.fit(texts)

    def build(self, state: State, table: DocidTable | None = None, seed: int = 0) -> DualEncoderModel:
        """The model; step 0 gives the frozen encoder's vectors, whatever the seed."""
        del table
        encoder = self.encoder.build(state)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if self.trainable_encoder:
                assert isinstance(encoder, SentenceEncoder)
                return DualEncoderModel(FineTunedTower(encoder, self.dropout), self.initial_temperature)
            return DualEncoderModel(
                HeadedTowers(cached(encoder), self.hidden, self.dropout), self.initial_temperature
            )


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

    def __init__(self, towers: HeadedTowers | FineTunedTower, initial_temperature: float) -> None:
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

    def embed_documents(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, d) unit vectors, differentiable."""
        vectors: Tensor = self.towers(batch, "document")
        return vectors

    def query_vectors(self, texts: Sequence[str]) -> np.ndarray:
        """(n, d) float32, unit rows, without dropout."""
        return self._vectors(texts, "query")

    def document_vectors(self, texts: Sequence[str]) -> np.ndarray:
        """(n, d) float32, unit rows, without dropout."""
        return self._vectors(texts, "document")

    def _vectors(self, texts: Sequence[str], role: Role) -> np.ndarray:
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        prepared = self.prepare(texts, role)
        batches = self.towers.batches(prepared)
        device, was_training = self.log_scale.device, self.training
        self.eval()
        try:
            for rows in track(batches, "embedding texts") if len(batches) > QUIET else batches:
                inputs = {name: tensor.to(device) for name, tensor in self.collate(prepared, rows).items()}
                with torch.inference_mode():
                    vectors[rows] = self.towers(inputs, role).float().cpu().numpy()
        finally:
            self.train(was_training)
        return vectors


QUIET = 16
"""Up to so many batches no progress is shown."""


class HeadedTowers(nn.Module):
    """Two trained heads over one frozen encoder. Prepared texts are (n, d) float32 vectors."""

    def __init__(self, encoder: TextEncoder, hidden: int, dropout: float) -> None:
        super().__init__()
        self.dimensions, self.fingerprint, self._encoder = encoder.dimensions, encoder.fingerprint, encoder
        self.query_head = ResidualHead(encoder.dimensions, hidden, dropout)
        self.document_head = ResidualHead(encoder.dimensions, hidden, dropout)

    def prepare(self, texts: Sequence[str], role: Role) -> np.ndarray:
        """(n, d) float32 unit rows, from the embedding cache where it has them."""
        return encode_as(self._encoder, texts, role)

    def collate(self, prepared: np.ndarray, rows: np.ndarray) -> dict[str, Tensor]:
        """`vectors` (B, d) float32."""
        return {"vectors": torch.from_numpy(prepared[rows])}

    def batches(self, prepared: np.ndarray) -> list[np.ndarray]:
        """All rows in batches of a good size."""
        return [np.arange(at, min(at + 4096, len(prepared))) for at in range(0, len(prepared), 4096)]

    def forward(self, batch: dict[str, Tensor], role: Role) -> Tensor:
        """(B, d) unit vectors."""
        head = self.query_head if role == "query" else self.document_head
        vectors: Tensor = head(batch["vectors"])
        return vectors


class FineTunedTower(nn.Module):
    """One BERT for both sides, mean-pooled, that learns. Prepared texts are ragged token ids.

    Reimers and Gurevych, "Sentence-BERT", EMNLP 2019, section 3.
    """

    def __init__(self, encoder: SentenceEncoder, dropout: float) -> None:
        super().__init__()
        self.bert = TrainableBert(encoder, dropout)
        self.dimensions, self.fingerprint = encoder.dimensions, encoder.fingerprint

    def prepare(self, texts: Sequence[str], role: Role) -> Ragged:
        """Token ids, int32."""
        return self.bert.prepare(texts, role)

    def collate(self, prepared: Ragged, rows: np.ndarray) -> dict[str, Tensor]:
        """`tokens` (B, L) int32 and `where` (B, L) bool."""
        return self.bert.collate(prepared, rows)

    def batches(self, prepared: Ragged) -> list[np.ndarray]:
        """All rows in batches of like length."""
        return batches_by_length(prepared.lengths, token_budget(next(self.parameters()).device))

    def forward(self, batch: dict[str, Tensor], role: Role) -> Tensor:
        """(B, d) unit vectors."""
        del role
        return mean_pool(self.bert(batch), batch["where"])


class ResidualHead(nn.Module):
    """`normalise(x + f(x))` where `f` starts at zero, so an untrained head changes nothing."""

    def __init__(self, dimensions: int, hidden: int, dropout: float) -> None:
        super().__init__()
        last = nn.Linear(hidden or dimensions, dimensions, bias=False)
        nn.init.zeros_(last.weight)
        first = [nn.Linear(dimensions, hidden), nn.GELU()] if hidden else []
        self.change = nn.Sequential(nn.Dropout(dropout), *first, last)

    def forward(self, vectors: Tensor) -> Tensor:
        """(B, d) -> (B, d) unit vectors."""
        return F.normalize(vectors + self.change(vectors), dim=-1)
