"""What a softmax and its kin share: rows where some entries do not count, and rows where none does.

Knows rows of numbers only. Shapes: n entries of a row.
"""

from __future__ import annotations

import torch
from torch import Tensor


def masked(logits: Tensor, where: Tensor | None) -> Tensor:
    """Logits that a softmax gives no weight: finite and very small where `where` is False.

    Finite, so that a row without entries has neither NaN values nor NaN gradients; its weights are then
    to be cleared with `cleared`. A -inf among the logits counts as masked.
    """
    least = torch.finfo(logits.dtype).min / 4
    absent = logits == -torch.inf if where is None else ~where | (logits == -torch.inf)
    return logits.masked_fill(absent, least)


def cleared(weights: Tensor, where: Tensor | None) -> Tensor:
    """Weights with 0 where `where` is False, also in rows of which nothing is left."""
    return weights if where is None else weights.masked_fill(~where, 0.0)


def log_total(logits: Tensor, where: Tensor | None = None, *, dim: int = -1) -> Tensor:
    """`log sum exp` over the entries that count; about `finfo.min / 4` where there is none, never NaN."""
    return masked(logits, where).logsumexp(dim)


def log_softmax(logits: Tensor, where: Tensor | None = None) -> Tensor:
    """Log-probabilities over the last dimension; finite and meaningless where `where` is False.

    >>> log_softmax(torch.zeros(3), torch.tensor([True, True, False]))[:2]
    tensor([-0.6931, -0.6931])
    """
    return masked(logits, where).log_softmax(-1)
