"""Requests and drafts: what a proposal is asked, and what it answers.

A draft is a choice of rows with the chance each had of being chosen; nothing in it is learnt or has a
gradient. Knows rows by number. Shapes: B queries, n rows, K columns, h rows already taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from retrograd.ops.labels import Label


class Rows(Protocol):
    """What a proposal may ask of a store of rows."""

    @property
    def table(self) -> Tensor:
        """(n, d) the keys as they are compared, without gradient; deleted rows are still there."""
        ...

    @property
    def exhaustive(self) -> bool:
        """Whether `nearest` misses nothing and sees the keys as they stand."""
        ...

    def nearest(self, queries: Tensor, k: int, where: Tensor | None = None) -> Tensor:
        """(B, d) queries -> (B, at most k) int64 rows, best first, -1 padded; `where` as in `Request`."""
        ...

    def rows_of(self, ids: Tensor) -> Tensor:
        """Row of each id, of any shape; -1 for an id of -1."""
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class Request:
    """What is asked for, and what is already there."""

    queries: Tensor
    """(B, d) without gradient."""

    rows: Rows
    where: Tensor
    """(n,) or (B, n) bool, rows that may be chosen."""

    taken: Tensor
    """(B, h) int64 rows that need not be chosen again, different from each other, -1 padded."""

    generator: torch.Generator | None = None

    def available(self) -> Tensor:
        """(B,) how many rows may still be chosen."""
        return self.where.sum(-1) - (self.taken >= 0).sum(-1)

    def within(self, where: Tensor) -> Request:
        """The same among fewer rows."""
        return replace(self, where=self.where & where)

    def beside(self, rows: Tensor) -> Request:
        """The same once more rows are taken."""
        return replace(self, taken=torch.cat([self.taken, rows], -1))

    def allowed(self, rows: Tensor) -> Tensor:
        """(B, K) bool: rows that exist, may be chosen and are not taken."""
        safe = rows.clamp(min=0)
        open_ = self.where[safe] if self.where.dim() == 1 else self.where.gather(-1, safe)
        return (rows >= 0) & open_ & ~_held(rows, self.taken)


@dataclass(frozen=True, eq=False, kw_only=True)
class Draft:
    """What was chosen. Columns of a query that hold nothing have row -1."""

    rows: Tensor
    """(B, K) int64, no row twice for a query."""

    log_inclusion: Tensor
    """(B, K) float64, log of the chance each had of being here; 0 for certain."""

    label: Label
    head: Tensor
    """(B, K) bool, rows that no row outside comes before."""

    stages: tuple[str, ...]
    chance: Callable[[Tensor], Tensor] | None = None
    """(B, K) rows -> (B, K) float64 chance that each had; None where only what is here had any."""

    def chance_of(self, rows: Tensor) -> Tensor:
        """(B, K) the chance that each of some rows had of being chosen here."""
        return _held(rows, self.rows).double() if self.chance is None else self.chance(rows)


class Proposal(Protocol):
    """One way to choose rows."""

    @property
    def label(self) -> Label:
        """Of it alone, over all rows: what it promises whatever the store; a draft may turn out better."""
        ...

    def propose(self, request: Request) -> Draft:
        """Choose among the rows allowed and not taken."""
        ...


def certain(request: Request, rows: Tensor, told: object, *, head: bool = False) -> Draft:
    """A draft of candidate rows (B, K), -1 padded, that were bound to be here; those barred are dropped.

    Exact if nothing is left that could have been chosen beside them, else biased.
    """
    rows = rows.masked_fill(~request.allowed(rows), -1)
    complete = bool(((rows >= 0).sum(-1) >= request.available()).all())
    return Draft(
        rows=rows,
        log_inclusion=torch.zeros(rows.shape, dtype=torch.float64, device=rows.device),
        label=Label.EXACT if complete else Label.BIASED,
        head=(rows >= 0) & (head or complete),
        stages=(str(told),),
    )


def compact(rows: Tensor, *others: Tensor, k: int | None = None) -> tuple[Tensor, ...]:
    """Columns without padding first, in their order; no more columns than the fullest row (or k) needs."""
    order = (rows < 0).to(torch.uint8).sort(dim=-1, stable=True).indices
    width = int((rows >= 0).sum(-1).amax()) if rows.numel() else 0
    return tuple(
        each.gather(-1, order)[:, : width if k is None else min(k, width)] for each in (rows, *others)
    )


def _held(rows: Tensor, among: Tensor) -> Tensor:
    """(B, K) bool: rows that stand among (B, h) others."""
    if not among.shape[-1]:
        return torch.zeros_like(rows, dtype=torch.bool)
    ordered = among.sort(-1).values
    places = torch.searchsorted(ordered, rows.contiguous()).clamp(max=ordered.shape[-1] - 1)
    return (ordered.gather(-1, places) == rows) & (rows >= 0)
