"""Losses that set one right answer against a row of wrong ones.

Knows scores and vectors only.
Shapes: B queries, D candidate documents shared by the batch, m parts of a document, d dimensions.
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


def residual_contrastive(
    queries: Tensor,
    parts: Tensor,
    positives: Tensor,
    *,
    scale: Tensor | float = 1.0,
    where: Tensor | None = None,
) -> Tensor:
    """`sum_n contrast(q, sg[d^(1) + ... + d^(n-1)] + d^(n))`: each part learns what those before it lack.

    Chen et al. 2025 ("UniSearch", arXiv 2509.06887), residual contrastive learning.

    Args:
        queries: (B, d) float.
        parts: (D, m, d) float; their running sums are compared with the queries by cosine.
        positives: (B,) int64, the row of `parts` that answers each query.
        scale: factor on the cosines, the inverse of a temperature.
        where: (B, D) bool, as in `in_batch_contrastive`.

    Returns: () nats per query, summed over the parts; 0 for an empty batch.

    >>> residual_contrastive(torch.eye(2), torch.zeros(2, 3, 2), torch.tensor([0, 1])) / 3
    tensor(0.6931)
    """
    before = (parts.cumsum(dim=1) - parts).detach()
    sums, queries = F.normalize(before + parts, dim=-1), F.normalize(queries, dim=-1)
    losses = [
        in_batch_contrastive(scale * queries @ sums[:, at].T, positives, where=where)
        for at in range(parts.shape[1])
    ]
    return torch.stack(losses).sum()
