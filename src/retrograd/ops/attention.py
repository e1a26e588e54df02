"""Attention as one selection and one aggregation.

Knows queries, keys and values as tensors that are all there at once; where they come from is no matter.
Shapes: B queries, n keys, d dimensions of a key, e of a value; leading dimensions (heads) broadcast.
"""

from __future__ import annotations

from torch import Tensor

from retrograd.ops.aggregate import aggregate
from retrograd.ops.select import select
from retrograd.ops.temperature import Temperature


def attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    how: str = "softmax",
    temperature: float | Tensor | Temperature | None = None,
    k: int | None = None,
    where: Tensor | None = None,
) -> Tensor:
    """`aggregate(select(queries @ keys^T), values)`; softmax at `sqrt(d)` is the usual attention.

    Args:
        queries: (..., B, d) float.
        keys: (..., n, d) float.
        values: (..., n, e) float.
        how: a key of `select.HOW`, with `k` where it takes one.
        temperature: above 0; None for `sqrt(d)`.
        where: (..., B, n) bool, False for keys a query does not see.

    Returns: (..., B, e); 0 for a query that sees no key.

    >>> import torch
    >>> attention(torch.ones(1, 4), torch.ones(2, 4), torch.tensor([[1.0], [3.0]]))
    tensor([[2.]])
    """
    temperature = queries.shape[-1] ** 0.5 if temperature is None else temperature
    weights = select(queries @ keys.mT, how=how, temperature=temperature, k=k, where=where)
    return aggregate(weights, values) if values.dim() == 2 else weights @ values
