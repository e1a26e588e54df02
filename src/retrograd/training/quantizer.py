"""Training of codes: vectors, queries and what is relevant to them in, a quantiser that ranks out.

Vectors are compared by inner products and stay as they are; what learns is what their codes stand for and,
where one is given, a map of the queries. Knows tensors; neither texts nor documents.
Shapes: n vectors, q queries, d dimensions, R relevant rows of a query, B queries of a batch, C candidates.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from retrograd.errors import InputError
from retrograd.evaluation.measures import evaluate
from retrograd.indexes.exhaustive import nearest_rows
from retrograd.losses.distillation import listwise_distillation
from retrograd.losses.marginal import relevance_nll
from retrograd.quantizers.trainable import FIXED, TrainableQuantizer
from retrograd.recipe import Rate, Stage
from retrograd.training.batches import Batch, PreparedSource
from retrograd.training.loop import train_stage
from retrograd.types import Ranking

DEPTH = 10
"""Answers that are looked at when weights are compared."""


@dataclass(frozen=True, kw_only=True)
class QuantizerTraining:
    """How codes are trained."""

    steps: int = 400
    """At most: the weights that stay are those that were best for the kept queries."""

    batch_size: int = 64
    learning_rate: float = 3e-4
    temperature: float = 0.05
    """Of the scores, of codes and exact ones alike; cosines want about .02 to .1."""

    distil: float = 1.0
    """Weight of the divergence from the exact scores."""

    labels: float = 0.0
    """Weight of `-log p(some relevant row)`. A few hundred labels are learnt by heart: on queries for other
    documents they made codes no better than exact scores alone. With any weight they choose what stays."""

    own_queries: float = 1.0
    """Weight of queries made of the vectors themselves, relative to that of the queries; they teach by exact
    scores only. 0 leaves them out."""

    candidates: int = 16_384
    """Rows a batch is compared with: all if there are no more, else the relevant ones, the nearest of each
    query and others drawn at random."""

    softness: float = 0.02
    """Temperature of soft assignments, in units of squared distance."""

    weight_decay: float = 0.01
    """Of the map of the queries alone."""

    looks: int = 15
    """How often the kept queries are looked at."""

    tune_fraction: float = 0.15
    """Share of the queries kept to choose the weights by, where nobody says which."""

    def __post_init__(self) -> None:
        if not self.temperature > 0 or not self.softness > 0 or not self.learning_rate > 0:
            raise ValueError("temperature, softness and learning_rate must be above 0")
        if min(self.distil, self.labels, self.own_queries) < 0 or self.distil + self.labels == 0:
            raise ValueError(
                "distil, labels and own_queries must be at least 0, and one of the first two more"
            )
        if min(self.steps, self.batch_size, self.candidates, self.looks) < 1:
            raise ValueError("steps, batch_size, candidates and looks must be at least 1")


@dataclass(frozen=True, eq=False)
class TrainedCodes:
    """What `train_quantizer` found."""

    codes: Tensor
    """(n, m) int64, of the vectors; what `TrainableQuantizer.scores` and `to_faiss` want."""

    measure: str
    """What the kept queries were judged by: nDCG@10 with labels, else the overlap with the exact ten."""

    before: float
    """Of the untrained quantiser."""

    after: float
    """Of the weights that were chosen."""

    steps: int
    """Until those weights; 0 where nothing was better than no training."""


def train_quantizer(
    quantizer: TrainableQuantizer,
    vectors: Tensor,
    queries: Tensor,
    relevant: Tensor | None = None,
    *,
    query_map: nn.Module | None = None,
    tune: Tensor | None = None,
    settings: QuantizerTraining | None = None,
    seed: int = 0,
) -> TrainedCodes:
    """Train a quantiser, in place, to rank some vectors for queries as labels and exact scores do.

    Queries are not rounded. The weights of the best look at the kept queries stay, those of the start among
    them. On the same machine the same seed gives the same weights.

    Args:
        quantizer: started on `vectors` or on others like them.
        vectors: (n, d) float.
        queries: (q, d) float.
        relevant: (q, R) int64 rows of `vectors`, -1 padded; None: the exact scores are all there is to learn.
        query_map: (B, d) -> (B, d), trained along, through which queries go before they are compared with
            codes, here and in use; None for none.
        tune: (q,) bool, queries that are not learnt from; None: drawn by `seed`.
        settings: None for the defaults.
        seed: of all that is random.

    Raises:
        InputError: shapes that do not fit, rows that are not there, or no query to learn from or to judge by.
    """
    settings = settings or QuantizerTraining()
    _check(quantizer, vectors, queries, relevant, tune)
    if tune is None:
        drawn = np.random.default_rng(seed).random(len(queries)) < settings.tune_fraction
        tune = torch.from_numpy(drawn)
    labelled = torch.ones_like(tune) if relevant is None else (relevant >= 0).any(-1).to(tune.device)
    learnt, kept = (~tune & labelled).nonzero().flatten(), (tune & labelled).nonzero().flatten()
    if not len(learnt) or not len(kept):
        raise InputError(
            f"{len(learnt)} queries to learn from and {len(kept)} to judge by; give some of both"
        )
    model = _Learner(quantizer, query_map, vectors, settings)
    judge = _Judge(model, queries[kept], None if relevant is None else relevant[kept])
    before = judge()
    stage = Stage(
        name="codes",
        objective=_Imitation(),
        examples=(),
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        rates=(Rate(part="quantizer", factor=1.0, decays=False),),
        validate_every=max(1, settings.steps // settings.looks),
        measure=judge.measure,
    )
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
        result = train_stage(
            model,
            stage,
            _sources(model, queries[learnt], None if relevant is None else relevant[learnt], seed),
            seed=seed,
            stage_index=0,
            folder=Path(folder),
            steps=settings.steps,
            validate=judge,
            checkpoint_seconds=math.inf,
        )
    assert result.best_measure is not None
    better = result.best_measure > before
    if not better:
        model.load_state_dict(start)
    return TrainedCodes(
        codes=quantizer.assign(vectors),
        measure=judge.measure,
        before=before,
        after=result.best_measure if better else before,
        steps=result.best_step if better else 0,
    )


class _Learner(nn.Module):
    """The quantiser, the map and what both are compared with."""

    def __init__(
        self,
        quantizer: TrainableQuantizer,
        query_map: nn.Module | None,
        vectors: Tensor,
        settings: QuantizerTraining,
    ) -> None:
        super().__init__()
        self.quantizer, self.settings = quantizer, settings
        self.query_map = nn.Identity() if query_map is None else query_map
        self.register_buffer("vectors", vectors.detach(), persistent=False)
        self._codes = quantizer.assign(vectors) if quantizer.assignment == FIXED else None

    vectors: Tensor

    def collate(self, prepared: Tensor, rows: np.ndarray) -> dict[str, Tensor]:
        """The queries (B, d) of some rows."""
        return {"queries": prepared[torch.from_numpy(rows)]}

    def decoded(self, rows: Tensor | None) -> Tensor:
        """(C, d) what the codes of some rows, or of all, stand for in training."""
        if self._codes is not None:
            return self.quantizer.decode(self._codes if rows is None else self._codes[rows])
        points = self.vectors if rows is None else self.vectors[rows]
        decoded: Tensor = self.quantizer(points, temperature=self.settings.softness)
        return decoded

    @torch.no_grad()
    def best(self, queries: Tensor) -> Tensor:
        """(B, 10) rows by the scores that are served."""
        codes = self.quantizer.assign(self.vectors) if self._codes is None else self._codes
        return nearest_rows(self.quantizer.decode(codes), self.query_map(queries), DEPTH)


class _Judge:
    """How good the present weights are for queries that nothing is learnt from."""

    def __init__(self, model: _Learner, queries: Tensor, relevant: Tensor | None) -> None:
        self.model, self.queries = model, queries
        self.measure = f"P@{DEPTH}" if relevant is None else f"nDCG@{DEPTH}"
        wanted = nearest_rows(model.vectors, queries, DEPTH) if relevant is None else relevant
        self.ids = [str(query) for query in range(len(queries))]
        self.qrels = {
            query: {str(row): 1 for row in rows if row >= 0}
            for query, rows in zip(self.ids, wanted.tolist(), strict=True)
        }

    def __call__(self) -> float:
        found = self.model.best(self.queries)
        rows, scores = found.cpu().numpy(), -np.arange(found.shape[1], dtype=np.float32)
        names = [str(row) for row in range(len(self.model.vectors))]
        ranking = Ranking.from_rows(self.ids, rows, np.broadcast_to(scores, rows.shape), names)
        return evaluate(ranking, self.qrels, [self.measure]).mean[self.measure]


@dataclass(frozen=True)
class _Imitation:
    """The loss of a `_Learner` on a batch of queries."""

    def __call__(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        settings, queries = model.settings, batch.inputs["queries"]
        assert batch.relevant is not None
        rows, relevant = self._candidates(model, batch)
        vectors = model.vectors if rows is None else model.vectors[rows]
        columns = torch.arange(len(model.vectors), device=queries.device) if rows is None else rows
        where = columns != batch.documents.masked_fill(relevant.any(-1), -1).unsqueeze(-1)
        scores = model.query_map(queries) @ model.decoded(rows).mT / settings.temperature
        terms = {}
        if settings.distil:
            exact = queries @ vectors.mT
            divergence = listwise_distillation(scores, exact, temperature=settings.temperature, where=where)
            terms["distil"] = settings.distil * divergence
        if settings.labels:
            share = relevant.any(-1).to(scores.dtype).mean()
            terms["labels"] = settings.labels * share * relevance_nll(scores, relevant, where=where)
        return terms

    def _candidates(self, model: Any, batch: Batch) -> tuple[Tensor | None, Tensor]:
        """(C,) rows to compare with, None for all; and (B, C) which of them are relevant."""
        wanted, size = batch.relevant, len(model.vectors)
        assert wanted is not None
        rows = None
        if size > model.settings.candidates:
            assert batch.lists is not None
            drawn = torch.randint(size, (model.settings.candidates,), device=wanted.device)
            rows = torch.unique(torch.cat([wanted.flatten(), batch.lists.flatten(), drawn]))
            rows = rows[rows >= 0]
            places = torch.searchsorted(rows, wanted.clamp(min=0).contiguous())
        else:
            places = wanted.clamp(min=0)
        columns = size if rows is None else len(rows)
        relevant = torch.zeros(len(wanted), columns, dtype=torch.int64, device=wanted.device)
        return rows, relevant.scatter_add_(1, places.clamp(max=columns - 1), (wanted >= 0).long()) > 0


def _sources(model: _Learner, queries: Tensor, relevant: Tensor | None, seed: int) -> list[PreparedSource]:
    """The queries, and the vectors as queries of which only others than themselves are wanted."""
    settings, few = model.settings, len(model.vectors) > model.settings.candidates
    labels = torch.full((len(queries), 1), -1) if relevant is None else relevant
    groups = [(queries, labels, labels[:, 0], 1.0)]
    if settings.own_queries and settings.distil:
        own = _some(len(model.vectors), settings.candidates, seed)
        alone = torch.full((len(own), 1), -1)
        groups.append((model.vectors[own], alone, own, settings.own_queries))
    return [
        PreparedSource(
            prepared=points.detach(),
            documents=own.cpu().numpy(),
            relevant=wanted.cpu().numpy(),
            lists=nearest_rows(model.vectors, points, DEPTH).cpu().numpy() if few else None,
            weight=weight,
        )
        for points, wanted, own, weight in groups
    ]


def _some(size: int, count: int, seed: int) -> Tensor:
    """All rows in order, or as many as wanted at random."""
    if size <= count:
        return torch.arange(size)
    return torch.randperm(size, generator=torch.Generator().manual_seed(seed))[:count]


def _check(
    quantizer: TrainableQuantizer,
    vectors: Tensor,
    queries: Tensor,
    relevant: Tensor | None,
    tune: Tensor | None,
) -> None:
    width = quantizer.dimensions
    if vectors.dim() != 2 or queries.dim() != 2 or {vectors.shape[1], queries.shape[1]} != {width}:
        shapes = f"vectors {tuple(vectors.shape)} and queries {tuple(queries.shape)}"
        raise InputError(f"{shapes} must both have {width} columns, as the quantiser has")
    if relevant is not None and (
        relevant.dim() != 2 or len(relevant) != len(queries) or not relevant.shape[1]
    ):
        raise InputError(
            f"relevant of shape {tuple(relevant.shape)} must have a line of rows for each of "
            f"{len(queries)} queries, padded with -1"
        )
    if (
        relevant is not None
        and relevant.numel()
        and not -1 <= int(relevant.min()) <= int(relevant.max()) < len(vectors)
    ):
        raise InputError(
            f"relevant rows must be below the {len(vectors)} vectors, and -1 where there are no more"
        )
    if tune is not None and tune.shape != (len(queries),):
        raise InputError(
            f"tune of shape {tuple(tune.shape)} must say True or False of {len(queries)} queries"
        )
