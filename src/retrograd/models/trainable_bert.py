"""A pretrained BERT that learns: token ids in, token states out.

The part that token memories and fine-tuned dual encoders share; it knows neither.
Shapes: n texts, B rows of a batch, L tokens of the longest of them, d of the BERT.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from retrograd.models.inputs import Role
from retrograd.models.ragged import Ragged
from retrograd.models.text_encoder import SentenceEncoder, token_states


class TrainableBert(nn.Module):
    """A copy of the encoder's network with gradients. Prepared texts are ragged token ids.

    Args:
        encoder: gives tokens and first weights; stays as it is.
        dropout: in [0, 1), after every block and inside attention.
    """

    def __init__(self, encoder: SentenceEncoder, dropout: float) -> None:
        super().__init__()
        self.dimensions, self.fingerprint, self._encoder = encoder.dimensions, encoder.fingerprint, encoder
        self.network = encoder.trainable_copy(dropout)

    def prepare(self, texts: Sequence[str], role: Role = "query") -> Ragged:
        """Token ids, int32; both roles alike."""
        del role
        return self._encoder.tokenize(texts)

    def collate(self, prepared: Ragged, rows: np.ndarray) -> dict[str, Tensor]:
        """`tokens` (B, L) int32 and `where` (B, L) bool."""
        tokens, where = prepared.padded(rows)
        return {"tokens": tokens, "where": where}

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Last-layer states (B, L, d); those outside `where` mean nothing."""
        return token_states(self.network, batch["tokens"], batch["where"])
