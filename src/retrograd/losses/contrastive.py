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
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    return F.cross_entropy(scores, positives, reduction="sum") / max(len(scores), 1)


def infonce(
    scores: Tensor,
    positives: Tensor,
    *,
    temperature: float | Tensor = 1.0,
    log_weight: Tensor | None = None,
    where: Tensor | None = None,
) -> Tensor:
    """`-log(exp x+ / sum_j exp x_j)` with `x = score / temperature + log_weight` (van den Oord et al. 2018,
    arXiv:1807.03748, equation 4).

    Negatives that were drawn m times with probability Q_j get the log-weight `-log(m Q_j)` (see
    `drawn_log_weight`): the sum is then unbiased for the sum over everything (Bengio and Senecal 2008), and
    its logarithm consistent in m. The gradient in the scores is `(p - onehot) / temperature`.

    Args:
        scores: (B, D) float.
        positives: (B,) int64, the column of each query's document.
        temperature: above 0; a tensor that broadcasts to `scores` gets a gradient.
        log_weight: (B, D) or (D,) float, minus the log of how often an entry is expected; 0 for entries that
            are there in any case. It gets no gradient, and the positive's is taken as 0.
        where: (B, D) bool, False for candidates that are no negatives of the query, for instance
            `true_negatives`. The positive itself is always kept.

    Returns: () mean in nats; 0 for an empty batch, never NaN for finite scores.

    >>> infonce(torch.zeros(1, 2), torch.tensor([0]), log_weight=torch.tensor([0.0, 3.0]).log1p())
    tensor(1.6094)
    """
    logits = scores / temperature
    if log_weight is not None:
        weights = log_weight.detach().expand_as(scores)
        logits = logits + weights.scatter(1, positives.unsqueeze(1), 0.0)
    return in_batch_contrastive(logits, positives, where=where)


def drawn_log_weight(probabilities: Tensor, draws: int) -> Tensor:
    """`-log(draws * Q)`: the log-weight of candidates drawn with replacement.

    Args:
        probabilities: (...) float above 0, Q, of drawing each candidate at once.
        draws: how many were drawn, at least 1; a candidate drawn twice stands in the list twice.

    >>> drawn_log_weight(torch.tensor([0.25]), 4)
    tensor([-0.])
    """
    return -(draws * probabilities).log()


def true_negatives(candidates: Tensor, positives: Tensor, *, relevant: Tensor | None = None) -> Tensor:
    """(B, D) bool, False for copies of a query's positive and for its other relevant documents.

    Args:
        candidates: (D,) or (B, D) int64, which document stands in each column.
        positives: (B,) int64, the column of each query's document; it stays True.
        relevant: (B, D) bool, True for candidates known to be right.

    >>> true_negatives(torch.tensor([7, 8, 7]), torch.tensor([0, 1]))
    tensor([[ True,  True, False],
            [ True,  True,  True]])
    """
    candidates = candidates.expand(len(positives), candidates.shape[-1])
    own = positives.unsqueeze(1)
    copies = candidates == candidates.gather(1, own)
    return ~(copies if relevant is None else copies | relevant).scatter(1, own, False)


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
