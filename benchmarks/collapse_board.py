"""Eight ways to train one embedding, and what each does to its health.

    RETROGRAD_DATA=... OMP_NUM_THREADS=1 python benchmarks/collapse_board.py

A linear map of TF-IDF to 64 dimensions, the same for titles and bodies, learns to lead from a document's
title to its body: no query and no judgement is learnt from. It is then asked with the collection's queries.
Health is that of the trained vectors; a way's rate is chosen by nDCG@10 on train queries, and judged on
dev + test.
Shapes: B documents of a batch, f terms, d dimensions.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from operator_results import best_rows, difference_table, means, quality_table, save
from report import markdown, spread
from titles_to_bodies import BATCH, DIMENSIONS, Task, drawn, quality_of, scores_of, task, trained
from torch import Tensor

from retrograd.evaluation.diagnostics.collapse import collapse_report
from retrograd.losses.contrastive import infonce
from retrograd.losses.regularisers import alignment, covariance, uniformity, variance

SEEDS, EPOCHS = 5, 20
RATES = (0.01, 0.05)
COLLECTIONS = ("cranfield", "cisi")
HARD = 5
"""The most similar bodies of other documents by TF-IDF, one of which is drawn as a hard negative."""

HEALTH = {
    "mean_cosine": "mean cosine",
    "effective_rank": f"rank of {DIMENSIONS}",
    "distinct_top1": "distinct firsts",
}


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
BEFORE = "map before training"


def last(of: Task, way: str, hard: np.ndarray, rate: float, seed: int) -> Tensor:
    """(f, d) vectors of terms after all epochs; a way that is none leaves them as drawn."""
    if way not in WAYS:
        return drawn(of, seed).detach()

    def loss(batch: list[int], table: Tensor, rng: random.Random) -> Tensor:
        others = [int(hard[row][rng.randrange(HARD)]) for row in batch]
        return WAYS[way](of.titles.of(batch, table), of.bodies.of(batch, table), of.bodies.of(others, table))

    *_, table = trained(of, of.pairs, loss, rate, seed, EPOCHS)
    return table


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
        titles, bodies = zip(
            *((document.title, document.text) for document in of.dataset.corpus), strict=True
        )
        alike = of.likeness(titles, bodies)
        np.fill_diagonal(alike, -1)
        hard = best_rows(alike, HARD)
        for system, scores in of.lexical.items():
            cells[claim, system] = [quality_of(of, scores, of.held_out)]
        for way in (BEFORE, *WAYS):
            cosine = "dot" not in way
            on_train = {
                rate: quality_of(of, scores_of(of, last(of, way, hard, rate, 0), cosine)[0], of.tuned)["mean"]
                for rate in (RATES if way in WAYS else RATES[:1])
            }
            rate = max(on_train, key=lambda rate: on_train[rate]["nDCG@10"])
            rates[f"{name}, {way}"] = rate
            for seed in range(SEEDS):
                scores, asked, bodies = scores_of(of, last(of, way, hard, rate, seed), cosine)
                report = collapse_report(asked, bodies)
                figures = {figure: float(getattr(report, figure)) for figure in HEALTH}
                cells.setdefault((claim, way), []).append(quality_of(of, scores, of.held_out))
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
