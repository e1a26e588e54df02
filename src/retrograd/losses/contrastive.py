"""Losses that set one right answer against a row of wrong ones.

Knows score matrices only. Shapes: B queries, D candidate documents shared by the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def in_batch_contrastive(scores: Tensor, positives: Tensor, *, where: Tensor | None = None) -> Tensor:
    """Softmax cross-entropy of the positive among the candidates (Karpukhin et al. 2020, equation 2).

    Args:
        scores: (B, D) float, already divided by the temperature.
        positives: (B,) int64, the column of each query's document.
        where: (B, D) bool, False for candidates that are no negatives of the query (duplicates,
            other relevant documents). The positive itself is always kept.

    Returns: () mean in nats; 0 for an empty batch, never NaN for finite scores.

    >>> in_batch_contrastive(torch.zeros(2, 2), torch.tensor([0, 1]))
    tensor(0.6931)
    """
    if where is not None:
        keep = where.scatter(1, positives.unsqueeze(1), True)
        scores = scores.masked_fill(~keep, -torch.inf)
    return F.cross_entropy(scores.float(), positives, reduction="sum") / max(len(scores), 1)
