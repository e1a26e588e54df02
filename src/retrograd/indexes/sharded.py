"""A memory in several parts, in this process or in many: mixtures are merged by log-sum-exp, exactly.

Every part proposes among its own rows; what is exchanged is the largest logit, `sum exp` and `sum exp *
value` of each query, however many rows there are. Knows stores and a process group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from retrograd.indexes.cached import Cached
from retrograd.indexes.drafts import Proposal
from retrograd.indexes.memory import Memory
from retrograd.ops.aggregate import Part, merge
from retrograd.ops.hits import Hits, Score, beside
from retrograd.ops.labels import Label, weakest
from retrograd.ops.shards import merge_shards, replicated
from retrograd.ops.temperature import Temperature


class Sharded:
    """Parts whose rows have different ids.

    Args:
        parts: the parts of this process; None stands for a part that is lost: whatever is found is then
            biased, and its mass not known.
        group: a `torch.distributed` group, `True` for the default one, if other processes hold further
            parts; all of them must call alike. None: these parts are all.
    """

    def __init__(self, parts: Sequence[Memory | Cached | None], *, group: Any = None) -> None:
        self.parts = tuple(part for part in parts if part is not None)
        self.lost = len(parts) - len(self.parts)
        self.group = group
        if not self.parts:
            raise ValueError("a sharded memory needs at least one part in every process, if an empty one")

    @property
    def value_shape(self) -> tuple[int, ...]:
        """Of one value."""
        return tuple(self.parts[0].values.shape[1:])

    def search(
        self,
        queries: Tensor,
        proposal: Proposal,
        *,
        score: Score | None = None,
        where: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Hits:
        """The hits of all parts of this process side by side; the proposal is asked once per part.

        Args:
            where: over the rows of all parts, one part after the other.

        Raises:
            ValueError: other processes hold parts too; `part` and `retrieve` are merged, rows are not.
        """
        if self.group is not None:
            raise ValueError("rows of other processes cannot be listed; use retrieve, or part")
        return self._own(queries, proposal, score, where, generator)

    def part(
        self,
        queries: Tensor,
        proposal: Proposal,
        *,
        temperature: float | Tensor | Temperature = 1.0,
        score: Score | None = None,
        where: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Part:
        """The softmax mixture over the rows of all parts of all processes, the same in each of them.

        Queries and temperature get the gradient of all processes' rows, so these must then compute the same
        loss and not add up its gradients again.
        """
        tau = temperature() if isinstance(temperature, Temperature) else temperature
        if self.group is None:
            found = [hits.part(tau) for hits in self._each(queries, proposal, score, where, generator)]
            return merge(found)
        group = None if self.group is True else self.group
        queries = replicated(queries, group=group)
        tau = replicated(tau, group=group) if isinstance(tau, Tensor) else tau
        found = [hits.part(tau) for hits in self._each(queries, proposal, score, where, generator)]
        return merge_shards(merge(found), group=group)

    def _own(
        self,
        queries: Tensor,
        proposal: Proposal,
        score: Score | None,
        where: Tensor | None,
        generator: torch.Generator | None,
    ) -> Hits:
        found = self._each(queries, proposal, score, where, generator)
        label = weakest(*(hits.label for hits in found), *([Label.BIASED] if self.lost else []))
        told = [f"part {at}: {stage}" for at, hits in enumerate(found) for stage in hits.stages]
        if not self.lost:
            return beside(found, label, tuple(told))
        joined = beside(found, label, (*told, f"{self.lost} parts lost"))
        return replace(joined, head=torch.zeros_like(joined.head))

    def _each(
        self,
        queries: Tensor,
        proposal: Proposal,
        score: Score | None,
        where: Tensor | None,
        generator: torch.Generator | None,
    ) -> list[Hits]:
        sizes = [len(part.keys) for part in self.parts]
        masks = [None] * len(sizes) if where is None else where.split_with_sizes(sizes, dim=-1)
        return [
            part.search(queries, proposal, score=score, where=mask, generator=generator)
            for part, mask in zip(self.parts, masks, strict=True)
        ]


def split(memory: Memory, parts: int) -> Sharded:
    """The rows of a memory in `parts` memories of their own, ids kept; gradients reach the memory's tensors.

    >>> len(split(Memory(torch.eye(5)), 2).parts)
    2
    """
    cuts = [slice(int(each[0]), int(each[-1]) + 1) for each in torch.arange(len(memory.keys)).chunk(parts)]
    values, shards = memory.own_values, []
    for cut in cuts:
        shard = Memory(
            memory.keys[cut],
            None if values is None else values[cut],
            ids=memory.ids[cut],
            payload=None if memory.payload is None else memory.payload[cut],
            index=memory.index.index,
            parameters=memory.index.parameters,
            metric=memory.index.metric,
        )
        shard.alive = memory.alive[cut]
        shards.append(shard)
    return Sharded(shards)
