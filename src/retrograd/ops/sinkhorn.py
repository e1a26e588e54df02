"""Matrices with given row and column sums: entropic transport by alternating normalisation.

Knows scores and sums. Shapes: n rows, m columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from retrograd.ops.masks import log_total, masked


def sinkhorn(
    scores: Tensor,
    *,
    rows: Tensor | None = None,
    columns: Tensor | None = None,
    steps: int = 50,
    where: Tensor | None = None,
) -> Tensor:
    """`exp(u_i + s_ij + v_j)` with u, v such that rows and columns have the wanted sums (Cuturi 2013).

    Works on logarithms; differentiable through its steps. The rows have their sums exactly, the columns as
    closely as the steps allow.

    Args:
        scores: (..., n, m) float, already divided by the temperature.
        rows: (..., n) wanted sums, at least 0; None for 1 each.
        columns: (..., m) wanted sums with the same total; None for that total in equal shares.
        steps: rounds, at least 1.
        where: (..., n, m) bool, False for cells that stay 0.

    Returns: (..., n, m) at least 0, never NaN; 0 in rows and columns without cells.

    >>> sinkhorn(torch.zeros(2, 2))
    tensor([[0.5000, 0.5000],
            [0.5000, 0.5000]])
    """
    if steps < 1:
        raise ValueError(f"steps={steps} must be at least 1")
    n, m = scores.shape[-2:]
    rows = scores.new_ones(n) if rows is None else rows
    columns = (rows.sum(-1, keepdim=True) / m).expand(*rows.shape[:-1], m) if columns is None else columns
    log_rows, log_columns = _log(rows), _log(columns)
    left, right = (torch.zeros_like(scores.select(dim, 0)) for dim in (-1, -2))
    for step in range(steps):
        if step:
            right = log_columns - log_total(scores + left.unsqueeze(-1), where, dim=-2)
        left = log_rows - log_total(scores + right.unsqueeze(-2), where)
    return masked(left.unsqueeze(-1) + scores + right.unsqueeze(-2), where).exp()


def _log(sums: Tensor) -> Tensor:
    """A logarithm that is finite, and whose exponential is 0, for 0."""
    empty = sums <= 0
    return sums.masked_fill(empty, 1.0).log().masked_fill(empty, torch.finfo(sums.dtype).min / 8)
