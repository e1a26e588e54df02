"""A router: which shards of a corpus are worth opening for a query, learnt on top of nearest centroids.

It starts as an inverted file and may learn to leave what costs more than it finds. Knows vectors and which
shard a row lies in. Shapes: B queries, C shards, n rows, d dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from retrograd.indexes.drafts import Draft, Request, certain
from retrograd.ops.labels import Label
from retrograd.quantizers.kmeans import kmeans

_LEVELS = 1000
"""Recalls that calibration tells apart."""


class Router(nn.Module):
    """`p_c = sigmoid(a u.c + b sd_c(u) + residual(u)_c)`: independent chances of opening each shard.

    `sd_c(u)` is the deviation of the scores `u.k` over the shard. b and the residual start at 0, so shards
    are opened in the order of an inverted file; expected costs are `losses.routing.expected_cost` of p.

    Args:
        centroids: (C, d) float.
        shard_of: (n,) int64, the shard of each row.
        variances: (C, d) of the keys of each shard; None for 0.
        hidden: inner width of the residual; 0 makes it linear.
        scale: where a starts.
    """

    def __init__(
        self,
        centroids: Tensor,
        shard_of: Tensor,
        variances: Tensor | None = None,
        *,
        hidden: int = 0,
        scale: float = 10.0,
    ) -> None:
        super().__init__()
        shards, dimensions = centroids.shape
        self.register_buffer("centroids", centroids)
        self.register_buffer("shard_of", shard_of)
        self.register_buffer("variances", torch.zeros_like(centroids) if variances is None else variances)
        self.nearness = nn.Parameter(centroids.new_tensor(scale))
        self.spread = nn.Parameter(centroids.new_zeros(()))
        inner = [nn.Linear(dimensions, hidden), nn.GELU()] if hidden else []
        last = nn.Linear(hidden or dimensions, shards)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.residual = nn.Sequential(*inner, last).to(centroids)
        self.register_buffer("gap_of_recall", centroids.new_full((_LEVELS + 1,), torch.nan))
        self._file()
        self.register_load_state_dict_post_hook(lambda module, _: module._file())  # type: ignore[no-untyped-call]

    centroids: Tensor
    shard_of: Tensor
    variances: Tensor
    gap_of_recall: Tensor
    """(1001,) how far below the best logit shards are opened for a recall of 0, .001, ..., 1; NaN before
    `calibrate`."""

    @classmethod
    def of(cls, keys: Tensor, num_shards: int, *, seed: int = 0, hidden: int = 0) -> Router:
        """Over k-means shards of keys (n, d)."""
        centroids, shard_of = kmeans(keys.detach().cpu().numpy(), num_shards, seed=seed)
        shards = torch.from_numpy(shard_of).to(keys.device)
        means = torch.from_numpy(centroids).to(keys)
        counts = torch.bincount(shards, minlength=len(means)).clamp(min=1).to(keys).unsqueeze(-1)
        squares = (keys.detach() - means[shards]).square()
        variances = torch.zeros_like(means).index_add_(0, shards, squares) / counts
        return cls(means, shards, variances, hidden=hidden)

    def logits(self, queries: Tensor) -> Tensor:
        """(B, d) -> (B, C)."""
        near = queries @ self.centroids.T
        spread = (queries.square() @ self.variances.T + 1e-12).sqrt()
        residual: Tensor = self.residual(queries)
        return self.nearness * near + self.spread * spread + residual

    def forward(self, queries: Tensor) -> Tensor:
        """(B, d) -> (B, C) chances of opening each shard."""
        return self.logits(queries).sigmoid()

    def shares(self, rows: Tensor) -> Tensor:
        """(B, C) share of each query's rows (B, k) in each shard: what is wanted of it."""
        found = (rows >= 0).to(self.centroids.dtype)
        shares = found.new_zeros(len(rows), len(self.centroids))
        shares.scatter_add_(1, self.shard_of[rows.clamp(min=0)], found)
        return shares / found.sum(-1, keepdim=True).clamp(min=1)

    @torch.no_grad()
    def calibrate(self, queries: Tensor, rows: Tensor) -> None:
        """Learn how far to go for each mean recall, from queries (B, d) and their true rows (B, k).

        Use queries that nothing is measured on later.
        """
        logits, wanted = self.logits(queries), self.shares(rows)
        gaps = (logits.amax(-1, keepdim=True) - logits).flatten()
        gaps, order = gaps.sort()
        reached = wanted.flatten()[order].double().cumsum(0) / len(queries)
        levels = torch.arange(_LEVELS + 1, dtype=torch.float64, device=gaps.device) / _LEVELS
        at = torch.searchsorted(reached, levels - 1e-9).clamp(max=len(gaps) - 1)
        self.gap_of_recall.copy_(gaps[at])

    @torch.no_grad()
    def probe(self, queries: Tensor, *, recall: float | None = None, shards: int | None = None) -> Tensor:
        """(B, C) bool, which shards to open: those within a calibrated gap of the best, or the best few.

        The gap adapts to the query: where one shard stands out few are opened, where many are alike many.

        Raises:
            ValueError: both or neither given, a recall outside [0, 1], or one asked before `calibrate`.
        """
        if (recall is None) == (shards is None):
            raise ValueError(f"recall={recall} and shards={shards}: give one of the two")
        logits = self.logits(queries)
        if recall is None:
            assert shards is not None
            best = logits.topk(min(shards, logits.shape[1]), -1).indices
            return torch.zeros_like(logits, dtype=torch.bool).scatter_(1, best, True)
        if not 0 <= recall <= 1:
            raise ValueError(f"recall={recall} must lie in [0, 1]")
        gap = self.gap_of_recall[min(_LEVELS, -int(-recall * _LEVELS // 1))]
        if bool(gap.isnan()):
            raise ValueError("the router does not know how far to go for a recall; calibrate it first")
        return logits.amax(-1, keepdim=True) - logits <= gap

    def cost_in_scores(self) -> float:
        """What routing one query costs, in inner products with a row: it is to be counted with the scan."""
        shards, dimensions = self.centroids.shape
        weights = sum(layer.weight.numel() for layer in self.residual if isinstance(layer, nn.Linear))
        return 2.0 * shards + weights / dimensions

    def members(self, shard: int) -> Tensor:
        """(m,) rows of a shard."""
        rows: Tensor = self._members[self._starts[shard] : self._starts[shard + 1]]
        return rows

    def _file(self) -> None:
        self._members = self.shard_of.sort(stable=True).indices
        counts = torch.bincount(self.shard_of, minlength=len(self.centroids))
        self._starts: list[int] = [0, *counts.cumsum(0).tolist()]


@dataclass(frozen=True, eq=False)
class Probe:
    """The rows of the shards a router opens; the `k` nearest of them, or all.

    With `draw`, shards are opened at random with the router's chances, which every row of theirs then has.
    """

    router: Router = field(repr=False)
    recall: float | None = None
    shards: int | None = None
    k: int | None = None
    draw: bool = False

    def __post_init__(self) -> None:
        if self.draw and (self.recall, self.shards, self.k) != (None, None, None):
            raise ValueError("a probe that draws takes all rows of what it opens: no recall, shards or k")

    @property
    def label(self) -> Label:
        """Consistent where shards are drawn, since every one has a chance."""
        return Label.CONSISTENT if self.draw else Label.BIASED

    def propose(self, request: Request) -> Draft:
        """Scan what is opened, and nothing else."""
        table, router = request.rows.table, self.router
        if len(router.shard_of) != len(table):
            raise ValueError(
                f"the router knows {len(router.shard_of)} rows and the memory has {len(table)}; make it anew"
            )
        queries = request.queries.to(router.centroids)
        chances = router(queries).detach().double()
        if self.draw:
            drawn = torch.rand(chances.shape, dtype=torch.float64, generator=request.generator)
            opened = drawn.to(chances.device) < chances
        else:
            opened = router.probe(queries, recall=self.recall, shards=self.shards)
        draft = certain(request, self._scan(request, table, opened), self)
        if not self.draw or draft.label is Label.EXACT:
            return draft
        return Draft(
            rows=draft.rows,
            log_inclusion=self._chance(chances, draft.rows).log().masked_fill(draft.rows < 0, 0.0),
            label=Label.CONSISTENT if bool((chances > 0).all()) else Label.BIASED,
            head=torch.zeros_like(draft.head),
            stages=draft.stages,
            chance=lambda rows: self._chance(chances, rows) * request.allowed(rows),
        )

    def _chance(self, chances: Tensor, rows: Tensor) -> Tensor:
        return chances.gather(-1, self.router.shard_of[rows.clamp(min=0)])

    def _scan(self, request: Request, table: Tensor, opened: Tensor) -> Tensor:
        lists = []
        for at, shards in enumerate(opened):
            parts = [self.router.members(shard) for shard in shards.nonzero().flatten().tolist()]
            rows = torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64, device=table.device)
            if self.k is not None:
                allowed = self._only(request, at).allowed(rows.unsqueeze(0))[0]
                rows = rows[allowed]
                scores = table[rows] @ request.queries[at]
                rows = rows[scores.topk(min(self.k, len(rows))).indices]
            lists.append(rows)
        return nn.utils.rnn.pad_sequence(lists, batch_first=True, padding_value=-1)

    def _only(self, request: Request, at: int) -> Request:
        """The request of one of the queries."""
        one = slice(at, at + 1)
        where = request.where if request.where.dim() == 1 else request.where[one]
        return Request(queries=request.queries[one], rows=request.rows, where=where, taken=request.taken[one])
