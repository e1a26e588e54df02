"""Losses that ask two predictions of the same thing to agree.

Knows logits only. Shapes: ... positions, V tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor


def symmetric_kl(logits_a: Tensor, logits_b: Tensor, *, where: Tensor | None = None) -> Tensor:
    """`KL(a || b) + KL(b || a)` = sum over tokens of `(p_a - p_b) * (log p_a - log p_b)`.

    Twice the regulariser of R-drop (Liang et al. 2021, equation 2).

    Args:
        logits_a: (..., V) float; -inf marks a token that does not exist, the same ones in both.
        logits_b: (..., V) float.
        where: (...) bool, False for padding.

    Returns: () mean over positions in nats, at least 0; 0 where there is no position, never NaN.

    >>> symmetric_kl(torch.zeros(2, 3), torch.zeros(2, 3))
    tensor(0.)
    """
    if where is not None:
        logits_a, logits_b = logits_a[where], logits_b[where]
    log_a, log_b = (torch.log_softmax(logits.float(), dim=-1) for logits in (logits_a, logits_b))
    absent = (log_a == -torch.inf) | (log_b == -torch.inf)
    gap = (log_a - log_b).masked_fill(absent, 0.0)
    divergence = ((log_a.exp() - log_b.exp()) * gap).sum(dim=-1)
    return divergence.sum() / max(divergence.numel(), 1)
