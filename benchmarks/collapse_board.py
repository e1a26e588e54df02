"""Eight ways to train one embedding, and what each does to its health.

    RETROGRAD_DATA=... OMP_NUM_THREADS=1 python benchmarks/collapse_board.py

A linear map of TF-IDF to 64 dimensions, the same for titles and bodies, learns to lead from a document's
title to its body: no query and no judgement is learnt from. It is then asked with the collection's queries.
Health is that of the trained vectors; a way's rate is chosen by nDCG@10 on train queries, and judged on
dev + test.
Shapes: B documents of a batch, n documents, f terms, d dimensions.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from grid import judged
from operator_results import (
    best_rows,
    collection,
    difference_table,
    judged_rows,
    lexical_scores,
    means,
    quality_table,
    save,
)
from report import markdown, spread
from torch import Tensor, nn

from retrograd.data.dataset import Dataset
from retrograd.evaluation.diagnostics.collapse import collapse_report
from retrograd.losses.contrastive import infonce
from retrograd.losses.regularisers import alignment, covariance, uniformity, variance
from retrograd.types import Qrels

SEEDS, DIMENSIONS, BATCH, EPOCHS = 5, 64, 128, 20
RATES = (0.01, 0.05)
COLLECTIONS = ("cranfield", "cisi")
HARD = 5
"""The most similar bodies of other documents by TF-IDF, one of which is drawn as a hard negative."""

HEALTH = {
    "mean_cosine": "mean cosine",
    "effective_rank": f"rank of {DIMENSIONS}",
    "distinct_top1": "distinct firsts",
}


class Bags(NamedTuple):
    """Texts as weighted terms."""

    terms: list[Tensor]
    weights: list[Tensor]

    def of(self, rows: Sequence[int], table: Tensor) -> Tensor:
        """(rows, d) sums of the terms' vectors."""
        own = [self.terms[row] for row in rows]
        starts = torch.tensor([0, *(len(terms) for terms in own)]).cumsum(0)[:-1]
        weights = torch.cat([self.weights[row] for row in rows])
        return F.embedding_bag(torch.cat(own), table, starts, mode="sum", per_sample_weights=weights)


class Task(NamedTuple):
    """A collection as bags."""

    dataset: Dataset
    titles: Bags
    bodies: Bags
    queries: Bags
    names: list[str]
    qrels: Qrels
    tuned: list[int]
    """Queries that rates are chosen on; all others are judged."""

    hard: np.ndarray
    """(n, HARD) rows."""

    lexical: dict[str, np.ndarray]
    """Scores of what learns nothing."""


Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Titles (B, d), their bodies (B, d), hard negatives (B, d) -> ()."""


def contrast(temperature: float, *, cosine: bool = True, hard: bool = False) -> Loss:
    """InfoNCE within the batch."""

    def loss(titles: Tensor, bodies: Tensor, others: Tensor) -> Tensor:
        candidates = torch.cat([bodies, others]) if hard else bodies
        if cosine:
            titles, candidates = F.normalize(titles, dim=-1), F.normalize(candidates, dim=-1)
        return infonce(titles @ candidates.T, torch.arange(len(titles)), temperature=temperature)

    return loss


def spread_out(titles: Tensor, bodies: Tensor, _: Tensor) -> Tensor:
    """Alignment and uniformity (Wang and Isola 2020), weight 1/2 each side."""
    return alignment(titles, bodies) + 0.5 * (uniformity(titles) + uniformity(bodies))


def decorrelated(titles: Tensor, bodies: Tensor, _: Tensor) -> Tensor:
    """Invariance, variance and covariance with the authors' weights 25, 25 and 1 (Bardes et al. 2022)."""
    kept = sum(25 * variance(side) + covariance(side) for side in (titles, bodies))
    return 25 * F.mse_loss(titles, bodies) + kept


WAYS: dict[str, Loss] = {
    "positives only": lambda titles, bodies, _: alignment(titles, bodies),
    "alignment + uniformity": spread_out,
    "InfoNCE, dot, 1": contrast(1.0, cosine=False),
    "InfoNCE, cosine, 1": contrast(1.0),
    "InfoNCE, cosine, .05": contrast(0.05),
    "InfoNCE, cosine, .005": contrast(0.005),
    "variance + covariance": decorrelated,
    "InfoNCE, cosine, .05, hard negatives": contrast(0.05, hard=True),
}
FREE = ("bm25", "tf-idf", "map before training")


def task(name: str) -> Task:
    """Bags of TF-IDF; a document without a title is led to by nothing."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    dataset = collection(name)
    queries, qrels = judged(dataset, ("train_clean", "dev", "test"))
    vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words="english", min_df=2)
    bodies = vectorizer.fit_transform([document.text for document in dataset.corpus])
    titles = vectorizer.transform([document.title for document in dataset.corpus])
    asked = vectorizer.transform([query.text for query in queries])
    alike = (titles @ bodies.T).toarray()
    np.fill_diagonal(alike, -1)
    train = dataset.qrels["train_clean"]

    def bags(matrix: Any) -> Bags:
        rows = [matrix[row] for row in range(matrix.shape[0])]
        terms = [torch.from_numpy(row.indices.astype(np.int64)) for row in rows]
        return Bags(terms, [torch.from_numpy(row.data.astype(np.float32)) for row in rows])

    return Task(
        dataset,
        bags(titles),
        bags(bodies),
        bags(asked),
        [query.id for query in queries],
        qrels,
        [at for at, query in enumerate(queries) if query.id in train],
        best_rows(alike, HARD),
        {
            "bm25": lexical_scores(dataset, [query.text for query in queries]),
            "tf-idf": (asked @ bodies.T).toarray(),
        },
    )


def trained(of: Task, loss: Loss | None, rate: float, seed: int) -> Tensor:
    """(f, d) vectors of terms; None leaves them as drawn."""
    torch.manual_seed(seed)
    rng, terms = random.Random(seed), 1 + max(int(t.max()) for t in of.bodies.terms if len(t))
    table = nn.Parameter(torch.randn(terms, DIMENSIONS) / DIMENSIONS**0.5)
    optimiser = torch.optim.Adam([table], rate)
    rows = [at for at, title in enumerate(of.titles.terms) if len(title) and len(of.bodies.terms[at])]
    for _ in range(EPOCHS if loss else 0):
        rng.shuffle(rows)
        for at in range(0, len(rows) - BATCH + 1, BATCH):
            batch = rows[at : at + BATCH]
            others = [int(of.hard[row][rng.randrange(HARD)]) for row in batch]
            sides = of.titles.of(batch, table), of.bodies.of(batch, table), of.bodies.of(others, table)
            assert loss is not None
            optimiser.zero_grad()
            loss(*sides).backward()
            optimiser.step()
    return table.detach()


def scores_of(of: Task, table: Tensor, cosine: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(q, n) scores, and the vectors of queries and bodies that have a term."""
    asked = of.queries.of(range(len(of.names)), table)
    bodies = of.bodies.of(range(len(of.bodies.terms)), table)
    if cosine:
        asked, bodies = F.normalize(asked, dim=-1), F.normalize(bodies, dim=-1)
    return (asked @ bodies.T).numpy(), asked.numpy(), bodies[bodies.square().sum(-1) > 0].numpy()


def quality_of(of: Task, scores: np.ndarray, part: Sequence[int]) -> dict[str, Any]:
    """nDCG@10 on some of the queries."""
    names = [of.names[at] for at in part]
    return judged_rows(of.dataset, of.qrels, names, best_rows(scores[list(part)]), ["nDCG@10"])


METHOD = f"""A linear map of TF-IDF to {DIMENSIONS} dimensions learns from titles to bodies
({EPOCHS} epochs, batches of {BATCH}, Adam at {RATES[0]} or {RATES[1]}, whichever is better on train
queries); {SEEDS} seeds. Asked with the queries of dev + test, of which nothing was learnt. Health is that of
the bodies and, for first answers, of all queries; alarms: the share of seeds for which `collapse_report`
raises one."""


def main() -> None:
    """Both collections."""
    torch.set_num_threads(1)
    started = time.process_time()
    cells: dict[tuple[str, str], list[Any]] = {}
    health: dict[tuple[str, str], list[dict[str, float]]] = {}
    rates: dict[str, float] = {}
    for name in COLLECTIONS:
        of, claim = task(name), f"{name} dev + test"
        part = [at for at in range(len(of.names)) if at not in set(of.tuned)]
        for system, scores in of.lexical.items():
            cells[claim, system] = [quality_of(of, scores, part)]
        for way, loss in {"map before training": None, **WAYS}.items():
            cosine = "dot" not in way
            on_train = {
                rate: quality_of(of, scores_of(of, trained(of, loss, rate, 0), cosine)[0], of.tuned)["mean"]
                for rate in (RATES if loss else RATES[:1])
            }
            rate = max(on_train, key=lambda rate: on_train[rate]["nDCG@10"])
            rates[f"{name}, {way}"] = rate
            for seed in range(SEEDS):
                scores, asked, bodies = scores_of(of, trained(of, loss, rate, seed), cosine)
                report = collapse_report(asked, bodies)
                figures = {figure: float(getattr(report, figure)) for figure in HEALTH}
                cells.setdefault((claim, way), []).append(quality_of(of, scores, part))
                health.setdefault((claim, way), []).append(
                    {**figures, "alarms": float(bool(report.alarms()))}
                )
            print(claim, way, rate, cells[claim, way][0]["mean"], health[claim, way][0], flush=True)
    claims = [f"{name} dev + test" for name in COLLECTIONS]
    tables = [METHOD, quality_table(cells, claims, "nDCG@10")]
    for claim in claims:
        rows = [
            [f"`{way}`", *(spread([seed[figure] for seed in found]) for figure in (*HEALTH, "alarms"))]
            for (where, way), found in health.items()
            if where == claim
        ]
        tables.append(markdown([claim, *HEALTH.values(), "alarms"], rows))
    pairs = [("against what learns nothing", way, "tf-idf") for way in WAYS]
    tables.append(difference_table(pairs, claims, cells, "nDCG@10"))
    seconds = round(time.process_time() - started)
    named = {f"{claim}, {way}": found for (claim, way), found in health.items()}
    figures = {"rates": rates, "cpu_seconds": seconds, "health": named, "means": means(cells)}
    save("collapse-board", "Collapse board", tables, figures)


if __name__ == "__main__":
    main()
