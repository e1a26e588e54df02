"""Hits: what a search found, whose support was chosen without gradient and whose weights carry it.

Everything up to the ids was a discrete choice; everything after is smooth: the logit of an entry is
`s_i / temperature + log_weight_i` with `log_weight_i = -log(inclusion probability)`, so that `sum exp(logit)`
is unbiased wherever every entry had a chance. Knows tensors; neither indexes nor models.
Shapes: ... queries, K entries, d dimensions of a key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from retrograd.ops.aggregate import Part, aggregate, part
from retrograd.ops.entmax import support_size
from retrograd.ops.labels import Label
from retrograd.ops.masks import cleared, log_softmax, log_total
from retrograd.ops.select import HOW, select
from retrograd.ops.temperature import Temperature

Score = Callable[[Tensor, "Hits"], Tensor]
"""(queries, hits) -> (..., K) scores, higher is better."""

_WHY = {
    Label.EXACT: "all that could be chosen is there",
    Label.CONSISTENT: "every entry had a known chance: sums are unbiased, ratios and logs nearly so",
    Label.BIASED: "some entries had no chance: their share of the mass is not known",
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Hits:
    """Entries of each query. Padding (where `where` is False) has id -1 and 0 everywhere else."""

    ids: Tensor
    """(..., K) int64."""

    scores: Tensor
    """(..., K) float, with gradient."""

    log_weight: Tensor
    """(..., K) minus the log inclusion probability, without gradient; 0 for what was certain."""

    values: Tensor
    """(..., K, *) what is mixed, with gradient."""

    where: Tensor
    """(..., K) bool."""

    label: Label
    """Of the softmax mixture, and of all that is computed from `log_prob`."""

    head: Tensor
    """(..., K) bool, entries that no allowed entry outside the hits scores above."""

    queries: Tensor
    """(..., d) whose hits these are."""

    keys: Tensor
    """(..., K, d) what the queries were compared with, with gradient."""

    stages: tuple[str, ...] = ()
    """Where the entries come from, in words."""

    def logits(self, temperature: float | Tensor | Temperature = 1.0) -> Tensor:
        """(..., K) `scores / temperature + log_weight`; meaningless where `where` is False."""
        return self.scores / _checked(temperature) + self.log_weight.detach()

    def log_prob(self, temperature: float | Tensor | Temperature = 1.0) -> Tensor:
        """(..., K) log-probabilities; padding has one so low that its probability is 0, never NaN."""
        return log_softmax(self.logits(temperature), self.where)

    def log_total(self, temperature: float | Tensor | Temperature = 1.0) -> Tensor:
        """(...) log of the estimate of `sum_i exp(s_i / temperature)` over everything."""
        return log_total(self.logits(temperature), self.where)

    def mass(self, temperature: float | Tensor | Temperature = 1.0) -> Tensor:
        """(...) share of the whole softmax that these entries hold, without gradient.

        `sum exp(s / temperature) / sum exp(logit)` over the hits: 1 if exact, an estimate from the weighted
        tail if consistent, and NaN where it is not known: if biased, or without entries.
        """
        with torch.no_grad():
            kept = log_total(self.scores / _checked(temperature), self.where)
            share = (kept - self.log_total(temperature)).exp().clamp(max=1.0)
            known = self.where.any(-1) & (self.label is not Label.BIASED)
            return share.masked_fill(~known, torch.nan)

    def weights(
        self,
        *,
        how: str = "softmax",
        temperature: float | Tensor | Temperature = 1.0,
        k: int | None = None,
        alpha: float = 1.5,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """(..., K) weights by any way of `ops.select.HOW`; `softmax` alone uses `log_weight`.

        `label_of` says what may be believed of them.
        """
        if how == "softmax" and k is None:
            return cleared(self.log_prob(temperature).exp(), self.where)
        return select(
            self.scores,
            how=how,
            temperature=temperature,
            k=k,
            alpha=alpha,
            where=self.where,
            generator=generator,
        )

    def label_of(self, weights: Tensor, how: str) -> Label:
        """The label of weights that `weights` gave by `how`.

        Sparse weights are exact if, in every row, an entry of `head` got weight 0: all that is not here
        scores no higher, and would get 0 too (see `ops.entmax.support_size`). Noise and straight-through
        gradients lower everything to biased, other relaxations what is not exact.
        """
        if how == "softmax":
            return self.label
        if not HOW[how].smooth or how == "gumbel_topk":
            return Label.BIASED
        if self.label is Label.EXACT:
            return Label.EXACT
        sparse = how in ("sparsemax", "entmax")
        certified = support_size(weights.masked_fill(~self.head, 0.0)) < self.head.sum(-1)
        return Label.EXACT if sparse and bool(certified.all()) else Label.BIASED

    def mix(self, weights: Tensor) -> Tensor:
        """(..., *) `sum_i w_i v_i`; 0 for a query without entries."""
        shape = self.values.shape[self.where.dim() :]
        return aggregate(weights, self._flat_values(), where=self.where).reshape(
            *self.where.shape[:-1], *shape
        )

    def part(self, temperature: float | Tensor | Temperature = 1.0) -> Part:
        """The softmax mixture of these entries, ready to be merged with that of others."""
        return part(self.logits(temperature), self._flat_values(), where=self.where)

    def _flat_values(self) -> Tensor:
        start = self.where.dim()
        return self.values.flatten(start) if self.values.dim() > start else self.values.unsqueeze(-1)

    def rescore(self, score: Score, queries: Tensor | None = None) -> Hits:
        """The same entries with other scores; their chance of being here is what it was.

        Args:
            score: of (queries, hits).
            queries: what it is given, for instance token vectors; None for those of the search.
        """
        scores = score(self.queries if queries is None else queries, self).masked_fill(~self.where, 0.0)
        told = (*self.stages, f"scored by {type(score).__name__}")
        return replace(self, scores=scores, head=torch.zeros_like(self.head), stages=told)

    def top(self, k: int) -> Hits:
        """The `k` best of each query, best first, ties by place; biased if that leaves something out.

        What is left then stands for itself alone: its log-weights are 0.
        """
        if k < 1:
            raise ValueError(f"k={k} must be at least 1")
        order = self.scores.detach().masked_fill(~self.where, -torch.inf)
        order = order.sort(dim=-1, descending=True, stable=True).indices[..., :k]
        cut = bool((self.where.sum(-1) > k).any())
        enough = self.head.sum(-1, keepdim=True) >= k
        kept = self.each(lambda entries: _taken(entries, order))
        if not cut:
            return kept
        return replace(
            kept,
            label=Label.BIASED,
            log_weight=torch.zeros_like(kept.log_weight),
            head=(kept.head | enough) & kept.where,
            stages=(*self.stages, f"cut to {k}"),
        )

    def each(self, change: Callable[[Tensor], Tensor]) -> Hits:
        """The same change made to every tensor of entries (..., K, *)."""
        return replace(
            self,
            ids=change(self.ids),
            scores=change(self.scores),
            log_weight=change(self.log_weight),
            values=change(self.values),
            where=change(self.where),
            head=change(self.head),
            keys=change(self.keys),
        )

    def explain(self) -> str:
        """One line: the label, why, where the entries come from and how many there are.

        The share of the mass they hold is `mass(temperature)`.
        """
        least, most = (int(x) for x in self.where.sum(-1).reshape(-1).aminmax())
        count = f"{most}" if least == most else f"{least} to {most}"
        stages = ", then ".join(self.stages) or "entries as given"
        return f"{self.label}: {_WHY[self.label]} ({stages}; {count} entries a query)"


def beside(found: Sequence[Hits], label: Label, stages: tuple[str, ...]) -> Hits:
    """Hits of the same queries among different entries, one after the other."""
    axis = found[0].where.dim() - 1
    joined = [
        torch.cat([getattr(hits, name) for hits in found], axis)
        for name in ("ids", "scores", "log_weight", "values", "where", "head", "keys")
    ]
    ids, scores, log_weight, values, where, head, keys = joined
    return Hits(
        ids=ids,
        scores=scores,
        log_weight=log_weight,
        values=values,
        where=where,
        label=label,
        head=head,
        queries=found[0].queries,
        keys=keys,
        stages=stages,
    )


def _checked(temperature: float | Tensor | Temperature) -> float | Tensor:
    tau: float | Tensor = temperature() if isinstance(temperature, Temperature) else temperature
    if not isinstance(tau, Tensor) and not tau > 0:
        raise ValueError(f"temperature={tau} must be above 0")
    return tau


def _taken(entries: Tensor, order: Tensor) -> Tensor:
    """Entries (..., K, *) in the order (..., k) given."""
    rest = entries.shape[order.dim() :]
    index = order.reshape(*order.shape, *(1 for _ in rest)).expand(*order.shape, *rest)
    return entries.gather(order.dim() - 1, index)
