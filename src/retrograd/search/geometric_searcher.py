"""The loop of every searcher that ranks documents by keys and vectors: encode, find keys, rank, widen.

Knows one way to find keys and one way to rank what they name; neither decoders nor tries.
Shapes: B queries of a batch, N trie nodes, d dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from retrograd.models.inference import device_of, without_dropout
from retrograd.models.inputs import Memory
from retrograd.search.beam import BeamResult
from retrograd.search.leaf_ranking import LeafRanking
from retrograd.search.trace import tell
from retrograd.types import Hit, Query, Ranking


@dataclass(frozen=True)
class Asked:
    """The queries of one batch, encoded."""

    memory: Memory
    planned: Tensor | None = None
    """(B, N) float: what a planner thinks of each node."""

    @property
    def vectors(self) -> Tensor:
        """(B, d) unit query vectors: slot 0 of the memory."""
        return self.memory.states[:, 0]

    def rows(self, some: list[int]) -> Asked:
        """Some of the queries."""
        memory = Memory(self.memory.states[some], self.memory.where[some])
        return Asked(memory, None if self.planned is None else self.planned[some])


Found = tuple[BeamResult, Tensor]
"""The best keys, and how many vectors each query was compared with on the way: (B,) int64."""

Find = Callable[[Asked, int, int], Found]
"""Queries, documents wanted, and how many times wider to look than at first."""


class Encoded:
    """A model that has read its queries already."""

    def __init__(self, model: Any, memory: Memory) -> None:
        self._memory, self.depth, self.start, self.step = memory, model.depth, model.start, model.step

    def encode(self, inputs: dict[str, Tensor]) -> Memory:
        """The memory it was given; `inputs` is not read."""
        del inputs
        return self._memory


class GeometricSearcher:
    """Implements `Searcher`. Its model has `prepare`, `collate` and `encode`.

    Args:
        plan: queries -> (B, N) values of the trie's nodes.
    """

    def __init__(
        self,
        model: Any,
        ranking: LeafRanking,
        find: Find,
        *,
        batch_size: int,
        plan: Callable[[Sequence[Query]], Tensor] | None = None,
    ) -> None:
        self.model, self._ranking, self._find = model, ranking, find
        self._batch_size, self._plan = batch_size, plan
        self.vectors_scored_per_query = 0.0
        """Mean over the queries of the last search: node and document vectors each was compared with."""

    def search(self, queries: Sequence[Query], k: int) -> Ranking:
        """The `k` best documents of each query; every hit says its path and steps.

        Raises:
            ValueError: k below 1.
        """
        if k < 1:
            raise ValueError(f"k={k} must be at least 1")
        if not queries:
            return Ranking((), ())
        hits: list[tuple[Hit, ...]] = []
        scored = 0
        with torch.inference_mode(), without_dropout(self.model):
            for asked in self._asked(queries):
                found, count = self._answer(asked, k)
                hits += found
                scored += count
        self.vectors_scored_per_query = scored / len(queries)
        return Ranking(tuple(query.id for query in queries), tuple(hits))

    def _asked(self, queries: Sequence[Query]) -> Iterator[Asked]:
        prepared = self.model.prepare([query.text for query in queries], "query")
        device = device_of(self.model)
        for first in range(0, len(queries), self._batch_size):
            some = queries[first : first + self._batch_size]
            inputs = self.model.collate(prepared, np.arange(first, first + len(some)))
            memory = self.model.encode({name: value.to(device) for name, value in inputs.items()})
            yield Asked(memory, None if self._plan is None else self._plan(some))

    def _answer(self, asked: Asked, k: int) -> tuple[list[tuple[Hit, ...]], int]:
        """Hits of one batch and the vectors scored. Queries whose keys name too few documents ask again,
        alone, so that no answer depends on the company it was asked in."""
        wanted, num_keys = min(k, self._ranking.resolver.num_reachable), len(self._ranking.resolver.table)
        vectors = asked.vectors.float().cpu().numpy()
        hits: list[tuple[Hit, ...]] = [()] * len(vectors)
        scored, pending = 0, {1: list(range(len(vectors)))}
        while pending:
            times = min(pending)
            rows = pending.pop(times)
            result, looked_at = self._find(asked.rows(rows), k, times)
            tell(self._ranking.resolver, result)
            scored += int(looked_at.sum())
            for at, row in enumerate(rows):
                hits[row], compared = self._ranking.hits(vectors[row], result, at, k)
                scored += compared
                if len(hits[row]) < wanted and times < num_keys:
                    missing = -(-wanted // max(len(hits[row]), 1))
                    pending.setdefault(times << max(1, (missing - 1).bit_length()), []).append(row)
        return hits, scored
