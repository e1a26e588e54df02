"""The nearest rows of a table of tensors as it stands now: no index that could grow stale.

Candidates come from one matrix product and are compared again in float64, so that which rows are found and
in which order depends on the query and the rows alone, not on what else is in the batch. Without gradient.
Shapes: B queries, n rows, d dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor

_NUMBERS_AT_ONCE = 1 << 24
"""Of the largest temporary matrix: 128 MB of float64."""

_SPARE = 32
"""Candidates beyond k that are compared again."""


def nearest_rows(keys: Tensor, queries: Tensor, k: int, where: Tensor | None = None) -> Tensor:
    """The k rows with the largest inner products, best first, ties by row.

    Args:
        keys: (n, d) float.
        queries: (B, d) float.
        k: at least 1.
        where: (n,) or (B, n) bool, False for rows that are not to be found.

    Returns: (B, min(k, n)) int64, -1 where fewer are allowed.

    >>> nearest_rows(torch.eye(3), torch.tensor([[0.0, 2.0, 1.0]]), 2)
    tensor([[1, 2]])
    """
    keys, queries, count = keys.detach(), queries.detach(), len(keys)
    if where is not None and where.dim() == 1:
        where = None if bool(where.all()) else where.expand(len(queries), count)
    candidates = min(k + _SPARE, count)
    step = max(1, _NUMBERS_AT_ONCE // max(1, count, candidates * keys.shape[1]))
    found = [keys.new_empty(0, min(k, count), dtype=torch.int64)]
    for at in range(0, len(queries), step):
        mask = None if where is None else where[at : at + step]
        found.append(_nearest(keys, queries[at : at + step], k, candidates, mask))
    return torch.cat(found)


def _nearest(keys: Tensor, queries: Tensor, k: int, candidates: int, where: Tensor | None) -> Tensor:
    rough = queries @ keys.T
    if where is not None:
        rough = rough.masked_fill(~where, -torch.inf)
    rows = rough.topk(candidates, -1).indices.sort(-1).values
    scores = (keys[rows].double() @ queries.double().unsqueeze(-1)).squeeze(-1)
    if where is not None:
        scores = scores.masked_fill(~where.gather(-1, rows), -torch.inf)
    scores, order = scores.sort(dim=-1, descending=True, stable=True)
    return rows.gather(-1, order).masked_fill(scores == -torch.inf, -1)[:, :k]
