"""The token states of a pretrained BERT as the memory a decoder attends to.

Knows tokens and memory slots; never docids or objectives. The first slot is the mean of the token
states, the sentence vector the BERT was trained for; one slot per token follows.
Shapes: n texts, B rows of a batch, L tokens of the longest of them, d of the BERT, w width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn

from retrograd.models.inputs import Memory, Role
from retrograd.models.ragged import Ragged
from retrograd.models.text_encoder import MiniLM, SentenceEncoder, mean_pool
from retrograd.models.trainable_bert import TrainableBert
from retrograd.types import State


@dataclass(frozen=True, kw_only=True)
class TokenStates:
    """A sentence encoder's token states, projected to the width of the decoder."""

    encoder: MiniLM = field(default_factory=MiniLM)
    width: int = 192
    """Length of a memory state."""

    trainable: bool = False
    """False: states are computed once per text and held as float16 (2 d bytes per token). True: the
    BERT belongs to the module and learns."""

    max_tokens: int = 64
    """Longer texts are cut; replaces the encoder's own limit."""

    dropout: float = 0.1
    """Inside a trainable BERT."""

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width={self.width} must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} must be in [0, 1)")
        if not isinstance(self.encoder, MiniLM):
            raise TypeError(f"{type(self.encoder).__name__} has no token states; use MiniLM")

    def fit(self, texts: Sequence[str]) -> State:
        """Nothing is learnt from the collection."""
        return self.encoder.fit(texts)

    def build(self, state: State, seed: int = 0) -> FrozenStates | TrainedStates:
        """The module; weights that are not pretrained depend on `seed` alone."""
        encoder = replace(self.encoder, max_tokens=self.max_tokens).build(state)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if self.trainable:
                return TrainedStates(encoder, self.width, self.dropout)
            return FrozenStates(encoder, self.width)


class FrozenStates(nn.Module):
    """Implements `models.inputs.InputEncoder`. Prepared texts are ragged float16 states, on the host."""

    def __init__(self, encoder: SentenceEncoder, width: int) -> None:
        super().__init__()
        self.width, self.fingerprint, self._encoder = width, encoder.fingerprint, encoder
        self.project = _Projection(encoder.dimensions, width)

    def prepare(self, texts: Sequence[str], role: Role = "query") -> Ragged:
        """States of all tokens: rows (tokens, d) float16."""
        del role
        return self._encoder.token_states(texts)

    def collate(self, prepared: Ragged, rows: np.ndarray) -> dict[str, Tensor]:
        """`states` (B, L, d) float16 and `where` (B, L) bool."""
        states, where = prepared.padded(rows)
        return {"states": states, "where": where}

    def forward(self, batch: dict[str, Tensor]) -> Memory:
        """Memory of 1 + L slots per row."""
        memory: Memory = self.project(batch["states"].float(), batch["where"])
        return memory


class TrainedStates(nn.Module):
    """Implements `models.inputs.InputEncoder`. Prepared texts are ragged token ids."""

    def __init__(self, encoder: SentenceEncoder, width: int, dropout: float) -> None:
        super().__init__()
        self.width, self.fingerprint = width, encoder.fingerprint
        self.bert = TrainableBert(encoder, dropout)
        self.project = _Projection(encoder.dimensions, width)

    def prepare(self, texts: Sequence[str], role: Role = "query") -> Ragged:
        """Token ids, int32."""
        return self.bert.prepare(texts, role)

    def collate(self, prepared: Ragged, rows: np.ndarray) -> dict[str, Tensor]:
        """`tokens` (B, L) int32 and `where` (B, L) bool."""
        return self.bert.collate(prepared, rows)

    def forward(self, batch: dict[str, Tensor]) -> Memory:
        """Memory of 1 + L slots per row."""
        memory: Memory = self.project(self.bert(batch), batch["where"])
        return memory


class _Projection(nn.Module):
    """Token states (B, L, d) -> memory (B, 1 + L, w), the sentence vector in front."""

    def __init__(self, dimensions: int, width: int) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(dimensions, width, bias=False), nn.RMSNorm(width)

    def forward(self, states: Tensor, where: Tensor) -> Memory:
        mean = mean_pool(states, where).unsqueeze(1) * states.shape[-1] ** 0.5  # of a token state's size
        together = self.norm(self.linear(torch.cat([mean, states], dim=1)))
        return Memory(together, torch.cat([torch.ones_like(where[:, :1]), where], dim=1))
