"""Losses that pass on how a teacher spreads its preference over a list.

Knows score matrices only. Shapes: B lists, m entries of a list.
"""

from __future__ import annotations

import torch
from torch import Tensor


def listwise_distillation(
    scores: Tensor, teacher: Tensor, *, temperature: float = 1.0, where: Tensor | None = None
) -> Tensor:
    """`KL(softmax(teacher / temperature) || softmax(scores))` over each list (Hinton et al. 2015,
    arXiv:1503.02531, section 2, with lists in the place of classes).

    Zero where both agree. Its gradient is that of the cross-entropy between the two.

    Args:
        scores: (B, m) float, already divided by the student's own temperature.
        teacher: (B, m) float, any scale; only differences within a list matter.
        temperature: above 0; a larger one flattens the teacher.
        where: (B, m) bool, False for padding, whose values are never looked at.

    Returns: () nats, mean over the lists that have an entry; 0 where none has one, never NaN for
    finite scores.

    >>> listwise_distillation(torch.zeros(1, 2), torch.tensor([[0.0, float(torch.tensor(3.0).log())]]))
    tensor(0.1308)
    """
    where = torch.ones_like(scores, dtype=torch.bool) if where is None else where
    target = _log_probability(teacher / temperature, where)
    disagreement = target.exp() * (target - _log_probability(scores, where))
    lists = where.any(-1).sum().clamp(min=1)
    return disagreement.masked_fill(~where, 0.0).sum() / lists


def _log_probability(scores: Tensor, where: Tensor) -> Tensor:
    """Log-softmax over the real entries; what stands elsewhere is finite and means nothing."""
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    return scores.masked_fill(~where, torch.finfo(scores.dtype).min / 2).log_softmax(-1)
