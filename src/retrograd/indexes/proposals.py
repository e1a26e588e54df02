"""Proposals: discrete choices of a few rows, each with the chance its rows had of being chosen.

A proposal is a value that is asked once per search; it sees queries without gradient, and neither scores
anything that is learnt nor weighs anything. What it declares (`label`) is what its draws are tested against.
Shapes: B queries, n rows, K columns, h rows already taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from retrograd.indexes.drafts import Draft, Proposal, Request, certain, compact
from retrograd.indexes.lexical import LexicalIndex
from retrograd.ops.draws import draw_distinct, first_of_each, skip_excluded
from retrograd.ops.labels import Label, independent_inclusion


@dataclass(frozen=True, eq=False)
class TopK:
    """The `k` nearest rows by the store's own index."""

    k: int
    where: Tensor | None = field(default=None, repr=False)
    """(n,) or (B, n) bool: only for this stage, so that what it leaves out counts as left out."""

    label: ClassVar[Label] = Label.BIASED

    def __post_init__(self) -> None:
        _at_least_one(k=self.k)

    def propose(self, request: Request) -> Draft:
        """Ask for as many more as are taken, and drop those."""
        inside = request if self.where is None else request.within(self.where)
        asked = min(self.k + request.taken.shape[1], request.where.shape[-1])
        rows = request.rows.nearest(request.queries, asked, inside.where)
        rows = compact(rows.masked_fill(~inside.allowed(rows), -1), k=self.k)[0]
        head = self.where is None and request.rows.exhaustive
        return certain(request, rows, self, head=head)


@dataclass(frozen=True)
class Uniform:
    """`count` of the rows that are left, each set as likely as any other; all if there are no more."""

    count: int
    label: ClassVar[Label] = Label.CONSISTENT

    def __post_init__(self) -> None:
        _at_least_one(count=self.count)

    def propose(self, request: Request) -> Draft:
        """Inclusion probability `count / left`."""
        left = request.available()
        rows = (self._shared if request.where.dim() == 1 else self._each)(request)
        chance = left.clamp(max=self.count) / left.clamp(min=1).double()
        exact = bool((left <= self.count).all())
        return Draft(
            rows=rows,
            log_inclusion=chance.clamp(min=1e-300).log().unsqueeze(-1).expand(rows.shape).clone(),
            label=Label.EXACT if exact else Label.CONSISTENT,
            head=(rows >= 0) & exact,
            stages=(str(self),),
            chance=lambda asked: chance.unsqueeze(-1) * request.allowed(asked),
        )

    def _shared(self, request: Request) -> Tensor:
        """Where all queries may have the same rows: draw ranks, and skip what is taken."""
        open_ = request.where.nonzero().squeeze(-1)
        ranks = draw_distinct(request.available(), self.count, generator=request.generator)
        places = torch.searchsorted(open_, request.taken.contiguous()).masked_fill(request.taken < 0, -1)
        found = skip_excluded(ranks, places)
        if not len(open_):
            return found.masked_fill(found >= 0, -1)
        return open_[found.clamp(min=0)].masked_fill(found < 0, -1)

    def _each(self, request: Request) -> Tensor:
        everything = torch.arange(request.where.shape[1], device=request.where.device)
        open_ = request.allowed(everything.expand(request.where.shape))
        noise = torch.rand(request.where.shape, dtype=torch.float64, generator=request.generator)
        noise = noise.to(open_.device).masked_fill(~open_, -1.0)
        found = noise.topk(min(self.count, len(everything)), -1)
        return found.indices.masked_fill(found.values < 0, -1)


@dataclass(frozen=True, eq=False)
class Given:
    """Rows one knows to be wanted, by id: (B,) or (B, K) int64, -1 padded."""

    ids: Tensor = field(repr=False)
    label: ClassVar[Label] = Label.BIASED

    def propose(self, request: Request) -> Draft:
        """As they are; an id that stands twice counts once."""
        ids = self.ids.unsqueeze(-1) if self.ids.dim() == 1 else self.ids
        rows = request.rows.rows_of(ids.to(request.queries.device))
        return certain(request, first_of_each(rows), self)


@dataclass(frozen=True, eq=False)
class Posterior:
    """The first `count` of a guide's candidates that are not yet taken: rows one expects to be wanted once
    the outcome is known, as lexical search for the answer finds them."""

    count: int
    guide: Tensor = field(repr=False)
    """(B, G) int64 ids, best first, -1 padded; or (B, n) float scores of all rows."""

    label: ClassVar[Label] = Label.BIASED

    def __post_init__(self) -> None:
        _at_least_one(count=self.count)

    def propose(self, request: Request) -> Draft:
        """Certain, as far as the guide goes."""
        guide = self.guide.to(request.queries.device)
        if guide.is_floating_point():
            asked = min(self.count + request.taken.shape[1], guide.shape[1])
            everything = torch.arange(guide.shape[1], device=guide.device).expand(guide.shape)
            open_ = request.allowed(everything)
            best = guide.masked_fill(~open_, -torch.inf).topk(asked, -1)
            rows = best.indices.masked_fill(best.values == -torch.inf, -1)
        else:
            rows = first_of_each(request.rows.rows_of(guide))
        rows = compact(rows.masked_fill(~request.allowed(rows), -1), k=self.count)[0]
        return certain(request, rows, self)


@dataclass(frozen=True, eq=False)
class Lexical:
    """The `count` best documents of a lexical index whose documents are, in order, the store's rows."""

    index: LexicalIndex = field(repr=False)
    count: int
    texts: Sequence[str] = field(repr=False)
    """One per query; a text without a known word finds nothing."""

    label: ClassVar[Label] = Label.BIASED

    def __post_init__(self) -> None:
        _at_least_one(count=self.count)

    def propose(self, request: Request) -> Draft:
        """Rows that may not be chosen are hidden from the index, not dropped from its answers."""
        if len(self.texts) != len(request.queries):
            raise ValueError(f"{len(self.texts)} texts for {len(request.queries)} queries; give one for each")
        asked, everything = self.count + request.taken.shape[1], np.arange(request.where.shape[-1])
        shown = np.where(request.where.cpu().numpy(), everything, -1)
        if shown.ndim == 1:
            found = self.index.search(self.texts, asked, shown)
        else:
            each = zip(self.texts, shown, strict=True)
            found = [self.index.search([text], asked, rows)[0] for text, rows in each]
        padded = np.full((len(found), asked), -1, np.int64)
        for line, answers in zip(padded, found, strict=True):
            line[: len(answers)] = [row for row, _ in answers]
        rows = torch.from_numpy(padded).to(request.queries.device)
        rows = compact(rows.masked_fill(~request.allowed(rows), -1), k=self.count)[0]
        return certain(request, rows, self)


@dataclass(frozen=True, eq=False)
class InBatch:
    """The documents of the other queries of a batch, as draws from the distribution they come from.

    A row of chance Q at a draw is there with chance `1 - (1 - Q)^(B - 1)`; it counts once however often it
    was drawn (the logQ correction of Bengio and Senecal 2008, for draws that are merged).
    """

    ids: Tensor = field(repr=False)
    """(B,) int64: each query's own document, which is left to `Given`."""

    log_q: Tensor | None = field(default=None, repr=False)
    """(n,) log of the chance of each row at one draw; None: not known, so the rows stand for themselves."""

    @property
    def label(self) -> Label:
        """Consistent where every row has a chance."""
        reaches = self.log_q is not None and bool((self.log_q > -torch.inf).all()) and len(self.ids) > 1
        return Label.CONSISTENT if reaches else Label.BIASED

    def propose(self, request: Request) -> Draft:
        """Every query sees the documents of all others."""
        batch = len(request.queries)
        if self.ids.shape != (batch,):
            raise ValueError(f"ids of shape {tuple(self.ids.shape)} for {batch} queries; give one for each")
        rows = request.rows.rows_of(self.ids.to(request.queries.device)).expand(batch, batch)
        others = ~torch.eye(batch, dtype=torch.bool, device=rows.device)
        rows = compact(first_of_each(rows.masked_fill(~others, -1)))[0]
        draft = certain(request, rows, self)
        if self.log_q is None or draft.label is Label.EXACT:
            return draft
        per_draw = self.log_q.detach().double().exp().clamp(max=1.0).to(rows.device)
        reached = -torch.expm1((batch - 1) * torch.log1p(-per_draw))
        log_inclusion = reached[draft.rows.clamp(min=0)].log()
        return replace(
            draft,
            label=self.label,
            log_inclusion=log_inclusion.masked_fill(draft.rows < 0, 0.0),
            chance=lambda asked: reached[asked.clamp(min=0)] * request.allowed(asked),
        )


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Up to `count` rows that a graph links to rows already taken, those of the first taken first."""

    table: Tensor = field(repr=False)
    """(n, degree) int64 rows, -1 padded."""

    count: int
    label: ClassVar[Label] = Label.BIASED

    def __post_init__(self) -> None:
        _at_least_one(count=self.count)

    def propose(self, request: Request) -> Draft:
        """In a union, after the stages whose rows it starts from."""
        if not request.taken.shape[1]:
            raise ValueError("Neighbours needs rows to start from; put it after another stage of a Union")
        linked = self.table.to(request.queries.device)[request.taken.clamp(min=0)]
        linked = linked.masked_fill((request.taken < 0).unsqueeze(-1), -1).flatten(1)
        rows = first_of_each(linked)
        rows = compact(rows.masked_fill(~request.allowed(rows), -1), k=self.count)[0]
        return certain(request, rows, self)


class Union:
    """Several stages, each of which chooses among what those before it left.

    Stages that reach everything come last, wherever they stand, since whatever joined them later would be
    counted twice. Rows of all stages but the last are then known and certain; those of the last keep their
    chance given the others. With `independent` every stage chooses among everything, and a row has the
    chance `1 - prod(1 - pi)`. Either way a union reaches as far as its best stage.
    """

    def __init__(self, *stages: Proposal, independent: bool = False) -> None:
        if not stages:
            raise ValueError("a Union needs at least one stage")
        order = [Label.BIASED, Label.CONSISTENT, Label.EXACT]
        self.stages = tuple(sorted(stages, key=lambda stage: order.index(stage.label)))
        self.independent = independent

    @property
    def label(self) -> Label:
        """That of its best stage, which comes last."""
        return self.stages[-1].label

    def __repr__(self) -> str:
        return f"Union({', '.join(map(repr, self.stages))})"

    def propose(self, request: Request) -> Draft:
        """All stages in turn."""
        return self._merged(request) if self.independent else self._in_turn(request)

    def _in_turn(self, request: Request) -> Draft:
        drafts = []
        for stage in self.stages:
            drafts.append(stage.propose(request))
            request = request.beside(drafts[-1].rows)
        last = drafts[-1]
        before = [torch.zeros_like(draft.log_inclusion) for draft in drafts[:-1]]
        return Draft(
            rows=torch.cat([draft.rows for draft in drafts], -1),
            log_inclusion=torch.cat([*before, last.log_inclusion], -1),
            label=last.label,
            head=torch.cat([draft.head for draft in drafts], -1),
            stages=tuple(told for draft in drafts for told in draft.stages),
        )

    def _merged(self, request: Request) -> Draft:
        drafts = [stage.propose(request) for stage in self.stages]
        rows = first_of_each(torch.cat([draft.rows for draft in drafts], -1))
        head = torch.cat([draft.head for draft in drafts], -1)
        rows, heads = compact(rows, head.long())
        chances = independent_inclusion(torch.stack([draft.chance_of(rows) for draft in drafts], -1))
        label = min((draft.label for draft in drafts), key=tuple(Label).index)
        return Draft(
            rows=rows,
            log_inclusion=chances.log().masked_fill(rows < 0, 0.0),
            label=label,
            head=(heads > 0) & (rows >= 0),
            stages=tuple(told for draft in drafts for told in draft.stages),
        )


def _at_least_one(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name}={count} must be at least 1")
