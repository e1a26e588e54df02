"""Losses of token sequences against target keys.

Knows logits and targets only. Shapes: B sequences, L levels, V tokens of the largest level.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def token_cross_entropy(logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Negative log-likelihood of whole sequences: mean over sequences of the sum over their tokens.

    With smoothing e each token costs `(1 - e) * -log p(target) + e * mean_t -log p(t)` over the
    tokens t that exist at its level (Szegedy et al. 2016, section 7).

    Args:
        logits: (B, L, V) float; -inf marks a token that does not exist at this level.
        targets: (B, L) int64, -1 for padding; no target may have a -inf logit.
        label_smoothing: in [0, 1).

    Returns: () in nats per sequence with at least one token; 0 where there is none, never NaN.

    >>> token_cross_entropy(torch.zeros(1, 2, 4), torch.tensor([[3, -1]]))
    tensor(1.3863)
    """
    real = targets >= 0
    num_sequences = real.any(dim=-1).sum().clamp(min=1)
    logits, targets = logits[real].float(), targets[real]  # a padded row may be -inf throughout
    loss = F.cross_entropy(logits, targets, reduction="sum")
    if label_smoothing:
        log_p = torch.log_softmax(logits, dim=-1)
        exists = logits > -torch.inf
        uniform = -log_p.masked_fill(~exists, 0.0).sum(dim=-1) / exists.sum(dim=-1)
        loss = (1 - label_smoothing) * loss + label_smoothing * uniform.sum()
    return loss / num_sequences
