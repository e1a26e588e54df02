"""A trainable memory of n values whose keys are all pairs of two tables of sqrt(n) half-keys.

The k best of each table hold the k best of all n sums, so a search costs `2 sqrt(n) d / 2 + k^2` instead of
`n d` and is exact. Knows vectors only.
Shapes: n slots, r = sqrt(n), ... inputs, d dimensions, k hits, H heads.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Slots(NamedTuple):
    """The best slots of some inputs."""

    rows: Tensor
    """(..., H, k) int64, best first."""

    scores: Tensor
    """(..., H, k) float, with gradient."""


class ProductKeyMemory(nn.Module):
    """`y = sum_h sum_i p_hi v_i` over the k best slots of each head; as a layer, `x + memory(x)`.

    Lample et al. 2019 ("Large Memory Layers with Product Keys", arXiv:1907.05242), equations 1 to 3; heads
    share the values. Of all n values only those hit get a gradient.

    Args:
        size: n, a square number.
        dim: d, even; of inputs and values.
        k: slots of each input and head, from 1 to sqrt(n).
        heads: H, searches for each input.
        sparse: the gradient of the values names the slots hit, for `SparseAdam`.
    """

    usage: Tensor
    """(n,) int64, how often each slot was hit in training since `forget_usage`."""

    def __init__(self, size: int, dim: int, k: int = 32, *, heads: int = 1, sparse: bool = False) -> None:
        super().__init__()
        root = math.isqrt(size)
        if root * root != size or size < 1:
            raise ValueError(f"size={size} must be a square number, {root**2} or {(root + 1) ** 2} say")
        if dim < 2 or dim % 2:
            raise ValueError(f"dim={dim} must be even")
        if not 1 <= k <= root:
            raise ValueError(f"k={k} must be from 1 to the square root of the size, {root}")
        self.k, self.sparse, self.heads = k, sparse, heads
        self.query = nn.Linear(dim, heads * dim)
        self.half_keys = nn.Parameter(torch.randn(heads, 2, root, dim // 2) / (dim // 2) ** 0.5)
        self.values = nn.Parameter(torch.randn(size, dim) / dim**0.5)
        self.register_buffer("usage", torch.zeros(size, dtype=torch.int64))

    def search(self, inputs: Tensor) -> Slots:
        """(..., d) -> the k slots with the largest `q1 . a_i + q2 . b_j`, ties in no particular order."""
        queries = self.query(inputs).unflatten(-1, (self.heads, 2, -1))
        halves = torch.einsum("...hsd,hsrd->...hsr", queries, self.half_keys)
        best, at = halves.topk(self.k, -1)
        sums = (best[..., 0, :].unsqueeze(-1) + best[..., 1, :].unsqueeze(-2)).flatten(-2)
        scores, pair = sums.topk(self.k, -1)
        first, second = at[..., 0, :].gather(-1, pair // self.k), at[..., 1, :].gather(-1, pair % self.k)
        return Slots(first * self.half_keys.shape[2] + second, scores)

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., d) -> (..., d)."""
        slots = self.search(inputs)
        if self.training:
            self.usage += torch.bincount(slots.rows.flatten(), minlength=len(self.usage))
        found = F.embedding(slots.rows, self.values, sparse=self.sparse)
        return (slots.scores.softmax(-1).unsqueeze(-2) @ found).squeeze(-2).sum(-2)

    def dead(self) -> float:
        """Share of the slots that nothing has hit in training."""
        return float((self.usage == 0).double().mean())

    def forget_usage(self) -> None:
        """Count anew."""
        self.usage.zero_()
