"""Support: what is lost where few rows stand for all of a memory, on one's own memory and queries.

Compares with the sum over everything, which is affordable for some queries at a time. A mass, an error or a
cosine here is measured, not promised. Shapes: B queries, n rows, d dimensions, k rows kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from retrograd.indexes.drafts import Proposal
    from retrograd.indexes.memory import Memory
    from retrograd.ops.hits import Hits

    Loss = Callable[[Hits, float], Tensor]

_NUMBERS_AT_ONCE = 1 << 24


@dataclass(frozen=True, kw_only=True)
class SupportFigures:
    """One proposal."""

    proposal: str
    label: str
    rows: float
    """Rows scored for a query, mean."""

    recall: float
    """Share of the true k best that are among them, mean."""

    mass: float
    """Share of the true softmax they hold, mean."""

    estimated_mass: float
    """What `Hits.mass` says of that, mean; NaN where it does not know."""

    gradient_error: float
    """|estimate - truth| / |truth| of dL/du, median over queries, of a single draw."""

    averaged_error: float
    """The same of the mean over all draws: what is left of it is bias."""


@dataclass(frozen=True)
class EstimatorReport:
    """Proposals side by side; `str` of it is a table."""

    temperature: float
    draws: int
    num_queries: int
    perplexity: float
    """Of the true softmax, median: how many rows matter."""

    figures: tuple[SupportFigures, ...]

    def __str__(self) -> str:
        head = f"temperature {self.temperature:g}, perplexity {self.perplexity:.0f}, {self.draws} draws"
        return "\n".join([head, *_table(self.figures)])


def estimator_report(
    memory: Memory,
    queries: Tensor,
    proposals: Sequence[Proposal],
    *,
    temperature: float = 1.0,
    loss: Loss | None = None,
    k: int = 10,
    draws: int = 10,
    seed: int = 0,
) -> EstimatorReport:
    """How wrong each proposal makes the gradient in the queries.

    Args:
        memory: whose living rows are the truth.
        queries: (B, d).
        proposals: made for these queries, where they are made for any.
        loss: of (hits, temperature) -> (B,); None for `log sum exp(s / temperature)`, whose gradient is the
            expected key: the part of every likelihood that needs all rows.
        k: answers that recall looks at.
        draws: how often each proposal is asked; more tell bias from variance.
        seed: of the draws.

    Raises:
        ValueError: no query, or draws below 1.
    """
    import torch

    if not len(queries) or draws < 1:
        raise ValueError(f"{len(queries)} queries and draws={draws}: both must be at least 1")
    loss = loss or (lambda hits, tau: hits.log_total(tau))
    truth = _Truth(memory, queries, temperature, loss, k)
    generator = torch.Generator().manual_seed(seed)
    figures = tuple(truth.compare(proposal, loss, draws, generator) for proposal in proposals)
    return EstimatorReport(temperature, draws, len(queries), float(truth.perplexity.median()), figures)


class _Truth:
    """Gradients and probabilities over everything."""

    def __init__(self, memory: Memory, queries: Tensor, temperature: float, loss: Loss, k: int) -> None:
        import torch

        from retrograd.indexes.proposals import Uniform

        self.memory, self.queries, self.temperature = memory, queries.detach(), temperature
        gradients, chances = [], []
        for block in _blocks(memory, self.queries):
            points = block.clone().requires_grad_()
            hits = memory.search(points, Uniform(max(1, len(memory.keys))))
            gradients.append(torch.autograd.grad(loss(hits, temperature).sum(), points)[0])
            chances.append(self._dense(hits, hits.log_prob(temperature).detach().exp()))
        self.gradients, self.chances = torch.cat(gradients), torch.cat(chances)
        entropy = torch.special.entr(self.chances).sum(-1)
        self.perplexity = entropy.exp()
        best = self.chances.topk(min(k, self.chances.shape[1]), -1).indices
        self.best = torch.zeros_like(self.chances).scatter(1, best, 1.0 / best.shape[1])

    def _dense(self, hits: Hits, of_entries: Tensor) -> Tensor:
        dense = of_entries.new_zeros(len(of_entries), len(self.memory.keys) + 1)
        rows = self.memory.rows_of(hits.ids).masked_fill(~hits.where, len(self.memory.keys))
        return dense.scatter(1, rows, of_entries)[:, :-1]

    def compare(self, proposal: Proposal, loss: Loss, draws: int, generator: Any) -> SupportFigures:
        import torch

        errors, total, seen = [], torch.zeros_like(self.gradients), []
        length = self.gradients.norm(dim=-1).clamp(min=1e-30)
        for _ in range(draws):
            points = self.queries.clone().requires_grad_()
            hits = self.memory.search(points, proposal, generator=generator)
            (gradient,) = torch.autograd.grad(loss(hits, self.temperature).sum(), points)
            total += gradient
            errors.append((gradient - self.gradients).norm(dim=-1) / length)
            here = self._dense(hits, hits.where.to(self.chances.dtype))
            seen.append(
                [
                    float(hits.where.sum(-1).double().mean()),
                    float((here * self.best).sum(-1).mean()),
                    float((here * self.chances).sum(-1).mean()),
                    float(hits.mass(self.temperature).mean()),
                ]
            )
        rows, recall, mass, estimated = np.mean(seen, axis=0).tolist()
        averaged = (total / draws - self.gradients).norm(dim=-1) / length
        return SupportFigures(
            proposal=str(proposal),
            label=str(hits.label),
            rows=rows,
            recall=recall,
            mass=mass,
            estimated_mass=estimated,
            gradient_error=float(torch.cat(errors).median()),
            averaged_error=float(averaged.median()),
        )


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """Compressed keys against exact ones."""

    cosine: float
    """Of the gradient of `log sum exp(s / temperature)` in the query, compressed and exact; mean."""

    relative_error: float
    """|compressed - exact| / |exact| of it, median."""

    kl: float
    """KL(exact || compressed) of the softmax, in nats, mean."""

    largest_score_error: float
    """eps = max |u . (k - k^)|."""

    ratio_bound: float
    """`exp(2 eps / temperature)`: no probability is off by a larger factor."""


def fidelity(keys: Tensor, decoded: Tensor, queries: Tensor, *, temperature: float = 1.0) -> Fidelity:
    """What compression does to training.

    Args:
        keys: (n, d) exact.
        decoded: (n, d) what a code of each stands for, whatever made it.
        queries: (B, d).

    >>> import torch
    >>> fidelity(torch.eye(2), torch.eye(2), torch.ones(1, 2)).ratio_bound
    1.0
    """
    import torch

    exact, coded = ((queries @ each.T).detach().double() for each in (keys, decoded))
    log_p, log_q = ((scores / temperature).log_softmax(-1) for scores in (exact, coded))
    ours, theirs = log_q.exp() @ decoded.detach().double(), log_p.exp() @ keys.detach().double()
    off = float((exact - coded).abs().max())
    return Fidelity(
        cosine=float(torch.cosine_similarity(ours, theirs, dim=-1).mean()),
        relative_error=float(((ours - theirs).norm(dim=-1) / theirs.norm(dim=-1).clamp(min=1e-30)).median()),
        kl=float((log_p.exp() * (log_p - log_q)).sum(-1).mean()),
        largest_score_error=off,
        ratio_bound=math.exp(min(2 * off / temperature, 700.0)),
    )


@dataclass(frozen=True, kw_only=True)
class BreakEven:
    """Retrieval of k rows against attention over all, at one size of memory."""

    size: int
    attention_flops: float
    """`4 n d` a query."""

    retrieval_flops: float
    """`2 C d + 2 scan n d + 4 k d` a query."""

    attention_bytes: float
    retrieval_bytes: float
    error: float
    """|R - R_k| / |R|, median."""

    mass: float
    """Kept, mean."""

    bound: float
    """`2 (1 - mass) max |v| / |R|`, median: what the error cannot exceed."""


@dataclass(frozen=True)
class BreakEvenCurve:
    """One line a size; `str` of it is a table."""

    break_even_size: float
    """`n* = (2 C + 4 k) / (4 - 2 scan)`: from here on retrieval takes fewer operations."""

    sizes: tuple[BreakEven, ...]

    def __str__(self) -> str:
        head = f"fewer operations from {self.break_even_size:.0f} rows on"
        return "\n".join([head, *_table(self.sizes)])


def break_even(
    memory: Memory,
    queries: Tensor,
    sizes: Sequence[float],
    *,
    k: int,
    temperature: float = 1.0,
    shards: int = 0,
    scan: float = 1.0,
) -> BreakEvenCurve:
    """What k rows save and what they lose, over the first rows of a memory.

    Args:
        memory, queries: as `estimator_report`.
        sizes: how many rows; more than there are count as all.
        k: rows kept.
        shards: C, centroids an index compares first.
        scan: share of the rows an index reads, in (0, 1].
    """
    import torch

    from retrograd.indexes.proposals import TopK, Uniform

    d, width, found = memory.keys.shape[1], memory.keys.element_size(), []
    e = int(np.prod(memory.values.shape[1:]))
    for size in dict.fromkeys(min(int(each), len(memory.keys)) for each in sizes):
        first, lines = torch.arange(len(memory.keys), device=memory.keys.device) < size, []
        for block in _blocks(memory, queries):
            with torch.no_grad():
                whole = memory.search(block, Uniform(size), where=first)
                few = memory.search(block, TopK(k), where=first)
                full = whole.mix(whole.weights(temperature=temperature)).flatten(1)
                short = few.mix(few.weights(temperature=temperature)).flatten(1)
                mass = (few.log_total(temperature) - whole.log_total(temperature)).exp()
            length = full.norm(dim=-1).clamp(min=1e-30)
            longest = whole.values.flatten(2).norm(dim=-1).amax(-1)
            bound = 2 * (1 - mass) * longest / length
            lines.append(torch.stack([(full - short).norm(dim=-1) / length, mass, bound]))
        error, kept, limit = torch.cat(lines, -1)
        found.append(
            BreakEven(
                size=size,
                attention_flops=4.0 * size * d,
                retrieval_flops=2.0 * shards * d + 2.0 * scan * size * d + 4.0 * k * d,
                attention_bytes=float(size * (d + e) * width),
                retrieval_bytes=((shards + scan * size + k) * d + k * e) * width,
                error=float(error.median()),
                mass=float(kept.mean()),
                bound=float(limit.median()),
            )
        )
    return BreakEvenCurve((2 * shards + 4 * k) / (4 - 2 * scan), tuple(found))


def _blocks(memory: Memory, queries: Tensor) -> Iterator[Tensor]:
    """Few enough queries at once that all rows fit for each."""
    row = memory.keys.shape[1] + int(np.prod(memory.values.shape[1:]))
    step = max(1, _NUMBERS_AT_ONCE // max(1, len(memory.keys) * row))
    points = queries.detach()
    return (points[at : at + step] for at in range(0, len(points), step))


def _table(rows: Sequence[Any]) -> list[str]:
    names = [field.name for field in fields(rows[0])] if rows else []
    cells = [names, *([_cell(getattr(row, name)) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
