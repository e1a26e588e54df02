"""Retrieval as one operator: queries in, mixtures of values out, gradients wherever they are wanted.

Joins a store, a proposal and a selection; knows neither what is stored nor what the mixture is for.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from retrograd.indexes.drafts import Proposal
from retrograd.indexes.sharded import Sharded
from retrograd.ops.hits import Hits, Score
from retrograd.ops.temperature import Temperature


class Store(Protocol):
    """Whatever can be searched: a memory, or one behind a cache."""

    def search(
        self,
        queries: Tensor,
        proposal: Proposal,
        *,
        score: Score | None = None,
        where: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Hits:
        """As `Memory.search`."""
        ...


def retrieve(
    queries: Tensor,
    store: Store | Sharded,
    proposal: Proposal,
    *,
    temperature: float | Tensor | Temperature = 1.0,
    how: str = "softmax",
    k: int | None = None,
    alpha: float = 1.5,
    score: Score | None = None,
    where: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """`R(q) = sum_i p_i(q) v_i` over the rows a proposal chooses.

    With the whole memory proposed, dot products, softmax and `temperature = sqrt(d)` it is attention. On a
    support that keeps the mass m, the error is at most `2 (1 - m) max |v|`.

    Args:
        queries: (..., d) float.
        store: a `Memory`, a `Cached` or a `Sharded` one.
        proposal: which rows, without gradient.
        temperature, how, k, alpha: how scores become weights, as in `Hits.weights`.
        score, where, generator: as in `Memory.search`.

    Returns: (..., *) of the shape of a value; 0 for a query without rows.

    >>> from retrograd.indexes.memory import Memory
    >>> from retrograd.indexes.proposals import TopK
    >>> retrieve(torch.zeros(1, 2), Memory(torch.eye(2)), TopK(2))
    tensor([[0.5000, 0.5000]])
    """
    if isinstance(store, Sharded):
        if how != "softmax" or k is not None:
            raise ValueError(f"shards are merged as softmax mixtures; how={how!r} with k={k} is not possible")
        merged = store.part(
            queries, proposal, temperature=temperature, score=score, where=where, generator=generator
        )
        return merged.mean().reshape(*queries.shape[:-1], *store.value_shape)
    hits = store.search(queries, proposal, score=score, where=where, generator=generator)
    return hits.mix(hits.weights(how=how, temperature=temperature, k=k, alpha=alpha, generator=generator))
