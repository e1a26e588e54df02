"""Random hyperplanes as a sampler: rows that share a hash with the query, each with a chance one can compute.

Knows directions only. Shapes: B queries, n rows, T tables, b bits of a code, d dimensions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from retrograd.indexes.drafts import Draft, Request, certain, compact
from retrograd.ops.labels import Label


@dataclass(frozen=True)
class LSH:
    """Rows whose code of `bits` signs equals the query's in one of `tables` tables of fresh hyperplanes.

    Two vectors at the angle theta share a sign with `P = 1 - theta / pi` (Charikar 2002), so a row is found
    with chance `1 - (1 - P^b)^T`; as a sampler: Spring and Shrivastava 2017, arXiv:1703.05160. That chance is
    over the hyperplanes, so they are drawn anew at each search; hashing all rows costs `n T b d`.
    """

    tables: int = 8
    bits: int = 6
    label: ClassVar[Label] = Label.CONSISTENT

    def __post_init__(self) -> None:
        if self.tables < 1 or not 1 <= self.bits <= 62:
            raise ValueError(f"tables={self.tables} must be at least 1 and bits={self.bits} from 1 to 62")

    def propose(self, request: Request) -> Draft:
        """As many rows as there are collisions: fewer bits or more tables find more."""
        table = request.rows.table
        planes = torch.randn(
            self.tables * self.bits, table.shape[1], dtype=torch.float64, generator=request.generator
        ).to(table)
        ours, theirs = self._codes(request.queries, planes), self._codes(table, planes)
        shared = torch.stack([(one.unsqueeze(1) == theirs).any(-1) for one in ours.unsqueeze(1)])
        shared = shared.reshape(len(ours), len(theirs))
        everything = torch.arange(len(table), device=table.device).expand(shared.shape)
        rows = compact(everything.masked_fill(~shared, -1))[0]
        draft = certain(request, rows, self)
        if draft.label is Label.EXACT:
            return draft
        return Draft(
            rows=draft.rows,
            log_inclusion=self._chance(request, draft.rows).log().masked_fill(draft.rows < 0, 0.0),
            label=self.label,
            head=torch.zeros_like(draft.head),
            stages=draft.stages,
            chance=lambda asked: self._chance(request, asked) * request.allowed(asked),
        )

    def _codes(self, vectors: Tensor, planes: Tensor) -> Tensor:
        signs = (vectors @ planes.T > 0).reshape(len(vectors), self.tables, self.bits).long()
        return (signs << torch.arange(self.bits, device=signs.device)).sum(-1)

    def _chance(self, request: Request, rows: Tensor) -> Tensor:
        found = F.normalize(request.rows.table[rows.clamp(min=0)].double(), dim=-1)
        ours = F.normalize(request.queries.double(), dim=-1)
        angle = (found @ ours.unsqueeze(-1)).squeeze(-1).clamp(-1, 1).acos()
        return self.inclusion(angle)

    def inclusion(self, angle: Tensor) -> Tensor:
        """The chance that a row at this angle (radians) from the query is found.

        >>> LSH(tables=1, bits=1).inclusion(torch.tensor(math.pi / 2))
        tensor(0.5000)
        """
        collide = (1 - angle / math.pi).clamp(1e-12, 1.0) ** self.bits
        return -torch.expm1(self.tables * torch.log1p(-collide.clamp(max=1 - 1e-16)))
