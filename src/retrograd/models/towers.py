"""From texts to unit vectors, one tower per side: frozen vectors under trained heads, or a BERT that learns.

A tower knows texts and vectors. What is done with the vectors (an inner product, codes, a decoder)
is the business of the models that hold it.
Shapes: n texts, B rows of a batch, L tokens of the longest of them, d dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrograd.models.inference import device_of, without_dropout
from retrograd.models.inputs import Memory, Role
from retrograd.models.ragged import Ragged, batches_by_length
from retrograd.models.text_encoder import SentenceEncoder, encode_as, mean_pool, token_budget
from retrograd.models.trainable_bert import TrainableBert
from retrograd.progress import track
from retrograd.types import TextEncoder

POOLS = ("mean", "first", "attention")
"""How the states of a text's tokens become its vector."""

QUIET = 16
"""Up to so many batches no progress is shown."""


class Towers(nn.Module):
    """What every pair of towers does. `forward(batch, role)` gives (B, d) unit vectors."""

    dimensions: int
    """d."""

    fingerprint: str
    """sha256 over all the vectors depend on that is not in `state_dict`."""

    def prepare(self, texts: Sequence[str], role: Role) -> Any:
        """All texts once, without gradient."""
        raise NotImplementedError

    def collate(self, prepared: Any, rows: np.ndarray) -> dict[str, Tensor]:
        """The tensors of some rows (B,) of what `prepare` returned."""
        raise NotImplementedError

    def batches(self, prepared: Any) -> list[np.ndarray]:
        """All rows in batches of a good size for inference."""
        raise NotImplementedError

    def with_tokens(self, batch: dict[str, Tensor]) -> tuple[Tensor, Memory | None]:
        """(B, d) unit vectors of queries and, where the tower has them, their token states (B, L, d)."""
        return self(batch, "query"), None


def embed_texts(towers: Towers, texts: Sequence[str], role: Role) -> np.ndarray:
    """(n, d) float32 unit rows, without dropout, wherever the towers' weights are."""
    return embed_prepared(towers, towers.prepare(texts, role), role)


def embed_prepared(towers: Towers, prepared: Any, role: Role) -> np.ndarray:
    """`embed_texts` of what the towers have prepared already."""
    vectors = np.zeros((len(prepared), towers.dimensions), np.float32)
    batches = towers.batches(prepared)
    device = device_of(towers)
    with without_dropout(towers), torch.inference_mode():
        for rows in track(batches, "embedding texts") if len(batches) > QUIET else batches:
            inputs = {name: tensor.to(device) for name, tensor in towers.collate(prepared, rows).items()}
            vectors[rows] = towers(inputs, role).float().cpu().numpy()
    return vectors


class HeadedTowers(Towers):
    """Two trained heads over one frozen encoder. Prepared texts are (n, d) float32 vectors."""

    def __init__(self, encoder: TextEncoder, hidden: int, dropout: float, shared: bool = False) -> None:
        super().__init__()
        self.dimensions, self.fingerprint, self._encoder = encoder.dimensions, encoder.fingerprint, encoder
        self.query_head = ResidualHead(encoder.dimensions, hidden, dropout)
        self.document_head = None if shared else ResidualHead(encoder.dimensions, hidden, dropout)

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
        head = self.query_head if role == "query" or self.document_head is None else self.document_head
        vectors: Tensor = head(batch["vectors"])
        return vectors


class FineTunedTower(Towers):
    """One BERT for both sides, pooled, that learns. Prepared texts are ragged token ids.

    Reimers and Gurevych, "Sentence-BERT", EMNLP 2019, section 3.
    """

    def __init__(self, encoder: SentenceEncoder, dropout: float, pool: str = "mean") -> None:
        super().__init__()
        self.bert = TrainableBert(encoder, dropout)
        self.dimensions, self.fingerprint = encoder.dimensions, encoder.fingerprint
        self.pool = TokenPool(pool, self.dimensions)

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
        return self.with_tokens(batch)[0]

    def with_tokens(self, batch: dict[str, Tensor]) -> tuple[Tensor, Memory]:
        """(B, d) unit vectors and the states they are pooled from."""
        states = self.bert(batch)
        return self.pool(states, batch["where"]), Memory(states, batch["where"])


class PooledTower(Towers):
    """Any input encoder of `models.inputs`, its memory pooled: an own transformer, a local T5.

    Both sides share it, and it has no frozen start: it must be trained.
    """

    def __init__(self, encoder: Any, pool: str = "mean") -> None:
        super().__init__()
        self.encoder, self.dimensions, self.fingerprint = encoder, encoder.width, encoder.fingerprint
        self.pool = TokenPool(pool, self.dimensions)

    def prepare(self, texts: Sequence[str], role: Role) -> Any:
        """What the encoder makes of the texts."""
        return self.encoder.prepare(texts, role)

    def collate(self, prepared: Any, rows: np.ndarray) -> dict[str, Tensor]:
        """What the encoder reads."""
        inputs: dict[str, Tensor] = self.encoder.collate(prepared, rows)
        return inputs

    def batches(self, prepared: Any) -> list[np.ndarray]:
        """All rows in batches of like length."""
        lengths = getattr(prepared, "lengths", np.ones(len(prepared), np.int64))
        return batches_by_length(lengths, token_budget(next(self.parameters()).device))

    def forward(self, batch: dict[str, Tensor], role: Role) -> Tensor:
        """(B, d) unit vectors."""
        del role
        return self.with_tokens(batch)[0]

    def with_tokens(self, batch: dict[str, Tensor]) -> tuple[Tensor, Memory]:
        """(B, d) unit vectors and the memory they are pooled from."""
        memory = self.encoder(batch)
        return self.pool(memory.states, memory.where), memory


class TokenPool(nn.Module):
    """One of `POOLS`. `attention` weighs the states by a learnt direction and starts at the mean."""

    def __init__(self, kind: str, width: int) -> None:
        super().__init__()
        self.kind = kind
        if kind == "attention":
            self.direction = nn.Parameter(torch.zeros(width))

    def forward(self, states: Tensor, where: Tensor) -> Tensor:
        """(B, L, d) states inside `where` (B, L) -> (B, d) unit vectors."""
        if self.kind == "mean":
            return mean_pool(states, where)
        if self.kind == "first":
            return F.normalize(states[:, 0], dim=-1)
        logits = states @ self.direction
        weights = logits.masked_fill(~where, torch.finfo(logits.dtype).min).softmax(dim=-1)
        return F.normalize((weights.unsqueeze(-1) * states).sum(dim=1), dim=-1)


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
