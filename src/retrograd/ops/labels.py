"""What may be believed of a sum over some entries: exact, consistent or biased.

The algebra: what is joined reaches as far as the best of its parts; what is relaxed or cut is no better
than the worst step on its way. Knows labels and chances only.
"""

from __future__ import annotations

from enum import StrEnum

import torch
from torch import Tensor


class Label(StrEnum):
    """How a support of few entries stands to the sum over all.

    >>> str(Label.EXACT)
    'exact'
    """

    EXACT = "exact"
    """Every entry of weight above 0 is there."""

    CONSISTENT = "consistent"
    """Every entry had a known chance above 0: the weighted sum and its gradient are unbiased, and ratios
    and logarithms of it have a bias that falls as 1 over the number of draws."""

    BIASED = "biased"
    """Some entry had no chance, or the backward pass is not the derivative of the forward one."""


_ORDER = (Label.EXACT, Label.CONSISTENT, Label.BIASED)


def weakest(*labels: Label) -> Label:
    """Of steps one after the other (a proposal, a relaxation), and of shares that must all be right.

    >>> weakest(Label.EXACT, Label.CONSISTENT).value
    'consistent'
    """
    return max(labels, key=_ORDER.index, default=Label.EXACT)


def strongest(*labels: Label) -> Label:
    """Of stages that complete each other: consistent if one of them reaches all that is not yet included.

    >>> strongest(Label.BIASED, Label.CONSISTENT).value
    'consistent'
    """
    return min(labels, key=_ORDER.index, default=Label.BIASED)


def independent_inclusion(chances: Tensor, dim: int = -1) -> Tensor:
    """`1 - prod(1 - pi)`: the chance that one of several independent draws includes an entry.

    >>> independent_inclusion(torch.tensor([0.5, 0.5]))
    tensor(0.7500)
    """
    return -torch.expm1(torch.log1p(-chances).sum(dim))
