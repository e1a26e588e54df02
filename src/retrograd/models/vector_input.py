"""A frozen sentence vector as the memory a decoder attends to.

Knows vectors and memory slots; never docids or objectives.
Shapes: n texts, B rows of a batch, d dimensions of the vector, S slots, w width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrograd.models.embedding_cache import cached
from retrograd.models.inputs import Memory, Role
from retrograd.models.text_encoder import MiniLM, encode_as
from retrograd.types import State, TextEncoder, TextEncoderConfig


@dataclass(frozen=True, kw_only=True)
class VectorInput:
    """One frozen text encoder, one trained linear map to a few memory slots."""

    encoder: TextEncoderConfig = field(default_factory=MiniLM)
    slots: int = 4
    """Memory states made of one vector."""

    width: int = 192
    """Length of a memory state."""

    noise: float = 0.0
    """Length of the Gaussian noise added to the unit vector while training (then normalised again):
    one text becomes a small cloud of its paraphrases."""

    def __post_init__(self) -> None:
        if self.slots < 1 or self.width < 1:
            raise ValueError(f"slots={self.slots} and width={self.width} must be at least 1")
        if self.noise < 0:
            raise ValueError(f"noise={self.noise} must not be negative")

    def fit(self, texts: Sequence[str]) -> State:
        """What the text encoder learns of the collection."""
        return self.encoder.fit(texts)

    def build(self, state: State, seed: int = 0) -> VectorMemory:
        """The module; its weights depend on `seed` alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return VectorMemory(self, cached(self.encoder.build(state)))


class VectorMemory(nn.Module):
    """Implements `models.inputs.InputEncoder`. Prepared texts are (n, d) float32 vectors."""

    def __init__(self, config: VectorInput, encoder: TextEncoder) -> None:
        super().__init__()
        self.width, self.slots, self.noise = config.width, config.slots, config.noise
        self.fingerprint = encoder.fingerprint
        self._encoder = encoder
        self.project = nn.Linear(encoder.dimensions, config.slots * config.width, bias=False)
        self.norm = nn.RMSNorm(config.width)

    def prepare(self, texts: Sequence[str], role: Role = "query") -> np.ndarray:
        """(n, d) float32 unit rows, from the embedding cache where it has them."""
        return encode_as(self._encoder, texts, role)

    def collate(self, prepared: np.ndarray, rows: np.ndarray) -> dict[str, Tensor]:
        """`vectors` (B, d) float32."""
        return {"vectors": torch.from_numpy(prepared[rows])}

    def forward(self, batch: dict[str, Tensor]) -> Memory:
        """Memory of S slots per row."""
        vectors = batch["vectors"]
        if self.training and self.noise > 0:
            drawn = torch.randn_like(vectors) / vectors.shape[-1] ** 0.5
            vectors = F.normalize(vectors + self.noise * drawn, dim=-1)
        states = self.norm(self.project(vectors).view(-1, self.slots, self.width))
        return Memory(states, torch.ones(states.shape[:2], dtype=torch.bool, device=states.device))
