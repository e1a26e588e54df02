"""Several searches one after the other, each with a query that what was found before has changed.

`soft` reads the mixture of a search and goes on from it; `paths` follows single entries: the best ones, or
draws. Gradients reach queries, keys, values and the update; which entries are followed is chosen without.
Knows stores, proposals and tensors; neither texts nor losses.
Shapes: ... queries, B of them flattened, W paths, T steps, K entries of a search, d dimensions of a query.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from retrograd.indexes.cached import Cached
from retrograd.indexes.drafts import Proposal
from retrograd.indexes.memory import Memory
from retrograd.indexes.proposals import Given, Union
from retrograd.losses.policy import stop_distribution
from retrograd.ops.gumbel import gumbel_noise
from retrograd.ops.hits import Score
from retrograd.ops.labels import Label, weakest
from retrograd.ops.masks import cleared, log_softmax
from retrograd.ops.temperature import Temperature

WAYS = ("beam", "sample", "distinct")
"""Which paths are followed: the most probable ones; independent draws; or draws without replacement."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Paths:
    """Paths of each query, the most probable (of draws the first drawn) first.

    `sum exp(log_probability + log_weight) f(path)` stands for the sum over all paths of `p(path) f(path)`: it
    is that sum if exact, and has its mean and the mean of its gradient if consistent.
    """

    ids: Tensor
    """(..., W, T) int64, -1 after the end of a path."""

    values: Tensor
    """(..., W, T, *) of those entries, with gradient; 0 after the end."""

    log_probability: Tensor
    """(..., W) `sum_t log p(z_t | q_t)`, stops included, with gradient."""

    log_weight: Tensor
    """(..., W) minus the log of how often a path was to be expected here, without gradient."""

    where: Tensor
    """(..., W) bool, False for padding."""

    label: Label
    """Of sums over paths."""

    mass: Tensor
    """(...) how much of all probability lies on these paths, without gradient; NaN for independent draws, and
    where searches left out entries, whose share nobody knows."""

    def log_prob(self) -> Tensor:
        """(..., W) log-probabilities among these paths, for `marginal_nll`; finite where padded."""
        return log_softmax(self.log_probability + self.log_weight, self.where)

    def expected(self, outcome: Tensor) -> Tensor:
        """(...) the mean of an outcome (..., W) of each path, with gradient in outcome and probabilities."""
        weights = cleared((self.log_probability + self.log_weight).exp(), self.where)
        return (weights * outcome.masked_fill(~self.where, 0.0)).sum(-1)


class Hop(nn.Module):
    """`q_{t+1} = update(v_t, q_t)` over a number of searches.

    A path has the probability `prod_t p(z_t | q_t)` (Xiong et al. 2021, "Answering Complex Open-Domain
    Questions with Multi-Hop Dense Retrieval", arXiv:2009.12756, equation 1).

    Args:
        store: what is searched.
        proposal: how entries are chosen at each step; it is asked for many queries at once, so one that was
            made for certain queries (`Given`, `Lexical`) does not fit; `paths` takes known ends.
        update: (M, *) values, (M, d) queries -> (M, d); `nn.GRUCell` is one.
        steps: T, at most this many searches.
        stop: (M, d) queries -> (M,) logits of ending before the next search; None: never before the last.
        temperature: of every search.
        score: as in `Memory.search`.
        repeats: whether a path may come to an entry again.

    Raises:
        ValueError: steps below 1.

    >>> from retrograd.indexes.proposals import TopK
    >>> hop = Hop(Memory(torch.eye(2)), TopK(2), lambda values, queries: queries - values)
    >>> hop.paths(torch.tensor([[3.0, 1.0]]), width=4).ids[0, 0]
    tensor([0, 0])
    """

    def __init__(
        self,
        store: Memory | Cached,
        proposal: Proposal,
        update: Callable[[Tensor, Tensor], Tensor],
        *,
        steps: int = 2,
        stop: Callable[[Tensor], Tensor] | None = None,
        temperature: float | Tensor | Temperature = 1.0,
        score: Score | None = None,
        repeats: bool = True,
    ) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"steps={steps} must be at least 1")
        self.store, self.proposal, self.update, self.stop = store, proposal, update, stop
        self.steps, self.temperature, self.score, self.repeats = steps, temperature, score, repeats

    def forward(self, queries: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """(..., d) -> (..., *): `soft`."""
        return self.soft(queries, generator=generator)

    def soft(self, queries: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """The mixture that the last search finds, each search going on from the mixture before it.

        With `stop`, the mean of the mixtures of all steps, weighed by the chance of ending after each. One
        step is `retrieve`. Backward runs through all steps; means of means blur what a single path would keep
        apart. It is exact, consistent or biased as the worst of its searches is.

        Args:
            queries: (..., d) float.
            generator: draws what the proposal leaves to chance.

        Returns: (..., *) of the shape of a value.
        """
        points = queries.reshape(-1, queries.shape[-1])
        mixtures: list[Tensor] = []
        logits: list[Tensor] = []
        for step in range(self.steps):
            if step:
                points = self.update(mixtures[-1], points)
                if self.stop is not None:
                    logits.append(self.stop(points).reshape(-1))
            hits = self.store.search(points, self.proposal, score=self.score, generator=generator)
            mixtures.append(hits.mix(hits.weights(temperature=self.temperature)))
        mixed = mixtures[-1]
        if self.stop is not None:
            stops = stop_distribution(torch.stack([*logits, points.new_zeros(len(points))], -1))
            mixed = torch.einsum("bt,bt...->b...", stops, torch.stack(mixtures, 1))
        return mixed.reshape(*queries.shape[:-1], *mixed.shape[1:])

    def paths(
        self,
        queries: Tensor,
        *,
        how: str = "beam",
        width: int = 8,
        ends: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Paths:
        """Some paths of each query with their probabilities.

        `beam` keeps the most probable ones at each step: exact if nothing had to be left out, else biased
        with a known missing mass. `sample` draws each path on its own, for `losses.policy.reinforce`.
        `distinct` draws without replacement (Kool et al. 2019, "Stochastic Beams and Where to Find Them",
        arXiv:1903.06059, algorithm 1 and equation 12). Draws are consistent where the searches are exact.

        Args:
            queries: (..., d) float.
            how: one of `WAYS`.
            width: W, paths kept or drawn.
            ends: (..., G) int64 ids that the last search of every path weighs too, -1 padded: in training,
                the answers one knows. Where no path comes to an answer by itself, nothing is learnt.
            generator: draws paths, and what the proposal leaves to chance.

        Raises:
            ValueError: an unknown way, or width below 1.
        """
        if how not in WAYS:
            raise ValueError(f"how={how!r}; choose one of {', '.join(WAYS)}")
        if width < 1:
            raise ValueError(f"width={width} must be at least 1")
        beams = self._start(queries.reshape(-1, queries.shape[-1]), how, width, generator)
        for step in range(self.steps):
            proposal = self.proposal
            if ends is not None and step == self.steps - 1:
                known = ends.reshape(-1, ends.shape[-1]).repeat_interleave(beams.where.shape[1], 0)
                proposal = Union(Given(known), proposal)
            beams = self._step(beams, proposal, step, how, width, generator)
        return _told(beams, how, width, queries.shape[:-1])

    def _start(self, points: Tensor, how: str, width: int, generator: torch.Generator | None) -> _Beams:
        count = width if how == "sample" else 1
        nothing = points.new_zeros(len(points), count)
        return _Beams(
            queries=points.unsqueeze(1).expand(-1, count, -1),
            log_probability=nothing,
            noisy=gumbel_noise(nothing, generator=generator),
            where=torch.ones_like(nothing, dtype=torch.bool),
            done=torch.zeros_like(nothing, dtype=torch.bool),
            ids=torch.zeros(len(points), count, 0, dtype=torch.int64, device=points.device),
            values=[],
            label=Label.EXACT,
            cut=False,
        )

    def _step(
        self,
        beams: _Beams,
        proposal: Proposal,
        step: int,
        how: str,
        width: int,
        generator: torch.Generator | None,
    ) -> _Beams:
        shape, points = beams.where.shape, beams.queries.flatten(0, 1)
        hits = self.store.search(
            points,
            proposal,
            score=self.score,
            where=None if self.repeats else self._unvisited(beams.ids.flatten(0, 1)),
            generator=generator,
        )
        alive = beams.where & ~beams.done
        entries = hits.where.reshape(*shape, -1) & alive.unsqueeze(-1)
        stuck = alive & ~entries.any(-1)
        go = halt = torch.zeros_like(beams.log_probability)
        if step and self.stop is not None:
            logits = self.stop(points).reshape(shape)
            go, halt = F.logsigmoid(-logits), F.logsigmoid(logits).masked_fill(stuck | beams.done, 0.0)
        on = go.unsqueeze(-1) + hits.log_prob(self.temperature).reshape(*shape, -1)
        longer = beams.log_probability.unsqueeze(-1) + torch.cat([on, halt.unsqueeze(-1)], -1)
        ending = alive if step and self.stop is not None else stuck
        allowed = torch.cat([entries, (ending | (beams.done & beams.where)).unsqueeze(-1)], -1)
        choice = _choose(longer, allowed, beams.noisy, how, width, generator)
        return self._followed(beams, choice, step, hits.ids.reshape(*shape, -1), hits.values, hits.label)

    def _followed(
        self, beams: _Beams, choice: _Choice, step: int, ids: Tensor, values: Tensor, label: Label
    ) -> _Beams:
        """The beams after the choice (B, W) of one of their K entries, or of the end, each."""
        count, entries = ids.shape[1:]
        parent, entry = choice.at // (entries + 1), choice.at % (entries + 1)
        ended = (entry == entries) | ~choice.where
        rows = torch.arange(len(ids), device=ids.device).unsqueeze(-1)
        if entries:
            flat = (rows * count + parent) * entries + entry.clamp(max=entries - 1)
            found, value = ids.flatten()[flat], values.flatten(0, 1)[flat]
        else:
            found = torch.full_like(parent, -1)
            value = values.new_zeros(*parent.shape, *values.shape[2:])
        value = value.masked_fill(ended.reshape(*ended.shape, *(1 for _ in value.shape[2:])), 0.0)
        queries = beams.queries[rows, parent]
        if step < self.steps - 1:
            changed = self.update(value.flatten(0, 1), queries.flatten(0, 1)).reshape(queries.shape)
            queries = torch.where(ended.unsqueeze(-1), queries, changed)
        return _Beams(
            queries=queries,
            log_probability=choice.log_probability,
            noisy=choice.noisy,
            where=choice.where,
            done=ended,
            ids=torch.cat([beams.ids[rows, parent], found.masked_fill(ended, -1).unsqueeze(-1)], -1),
            values=[*(earlier[rows, parent] for earlier in beams.values), value],
            label=weakest(beams.label, label),
            cut=beams.cut or choice.cut,
        )

    def _unvisited(self, ids: Tensor) -> Tensor:
        """(M, t) ids of paths -> (M, n) rows they have not come to."""
        size = len(self.store.keys)
        rows = self.store.rows_of(ids)
        fresh = torch.ones(len(ids), size + 1, dtype=torch.bool, device=ids.device)
        return fresh.scatter(1, rows.masked_fill(rows < 0, size), False)[:, :size]


@dataclass(frozen=True, eq=False, kw_only=True)
class _Beams:
    """Unfinished paths (B, W)."""

    queries: Tensor
    log_probability: Tensor
    noisy: Tensor
    """Log-probability with Gumbel noise, the largest of which are draws without replacement."""

    where: Tensor
    done: Tensor
    ids: Tensor
    values: list[Tensor]
    label: Label
    cut: bool
    """Whether paths were left out."""


class _Choice(NamedTuple):
    """Which of the W * (K + 1) ways to go on are followed, (B, W') each."""

    at: Tensor
    log_probability: Tensor
    noisy: Tensor
    where: Tensor
    cut: bool


def _choose(
    longer: Tensor, allowed: Tensor, noisy: Tensor, how: str, width: int, generator: torch.Generator | None
) -> _Choice:
    """Choose among log-probabilities (B, W, K + 1)."""
    ways, logs = longer.shape[-1], longer.detach().masked_fill(~allowed, -torch.inf)
    order = logs
    if how != "beam":
        order = logs + gumbel_noise(logs, generator=generator)
    if how == "sample":
        best = order.argmax(-1)
        at = best + ways * torch.arange(best.shape[1], device=best.device)
    else:
        order = _below(order, noisy) if how == "distinct" else order
        kept = width + 1 if how == "distinct" else width  # one more tells where the draws were cut
        at = order.flatten(1).topk(min(kept, order[0].numel()), -1).indices
    where = allowed.flatten(1).gather(-1, at)
    return _Choice(
        at=at,
        log_probability=longer.flatten(1).gather(-1, at).masked_fill(~where, 0.0),
        noisy=order.flatten(1).gather(-1, at),
        where=where,
        cut=bool((allowed.flatten(1).sum(-1) > where.sum(-1)).any()),
    )


def _below(noisy: Tensor, parents: Tensor) -> Tensor:
    """Noisy values (B, W, K) with those of each parent (B, W) as their maximum, -inf staying -inf.

    Kool et al. 2019, appendix B.3: Gumbel variables conditioned on their maximum.
    """
    most = noisy.amax(-1, keepdim=True)
    parent = parents.unsqueeze(-1)
    gap = parent - noisy + torch.log1p(-(noisy - most).exp())
    below = parent - gap.clamp(min=0.0) - torch.log1p((-gap.abs()).exp())
    return torch.where(noisy == -torch.inf, noisy, below)


def _told(beams: _Beams, how: str, width: int, batch: torch.Size) -> Paths:
    """What was found, in the shape of the queries."""
    log_probability, where, label = beams.log_probability, beams.where, beams.label
    log_weight = torch.zeros_like(log_probability)
    if how == "sample":
        log_weight = -log_probability.detach() - math.log(width)
    elif how == "distinct" and where.shape[1] > width:
        threshold = beams.noisy[:, width:].masked_fill(~where[:, width:], -torch.inf)
        chance = -torch.expm1(-(log_probability.detach() - threshold).exp())
        log_weight = -chance.log()
        beams = replace(beams, cut=beams.cut or bool(where[:, width:].any()))
    kept = slice(0, width)
    log_weight = log_weight.masked_fill(~where, 0.0)[:, kept]
    log_probability, where = log_probability[:, kept], where[:, kept]
    known = label is Label.EXACT and how != "sample"
    mass = cleared(log_probability.detach().exp(), where).sum(-1)
    if how == "beam":
        label = weakest(label, Label.BIASED if beams.cut else Label.EXACT)
    else:
        label = weakest(label, Label.CONSISTENT if beams.cut or how == "sample" else Label.EXACT)
    values = torch.stack(beams.values, 2)[:, kept]
    return Paths(
        ids=beams.ids[:, kept].reshape(*batch, *beams.ids[:, kept].shape[1:]),
        values=values.reshape(*batch, *values.shape[1:]),
        log_probability=log_probability.reshape(*batch, -1),
        log_weight=log_weight.reshape(*batch, -1),
        where=where.reshape(*batch, -1),
        label=label,
        mass=(mass if known else torch.full_like(mass, torch.nan)).reshape(batch),
    )
