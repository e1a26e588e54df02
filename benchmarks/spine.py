"""The grid behind docs/results.md: every recipe of the spine on three collections, several seeds.

    python benchmarks/spine.py run --budget-minutes 120 --workers 2     # resumable: finished cells are kept
    python benchmarks/spine_report.py --commit ...                      # tables from what has finished

Each cell (collection, system, seed) is one process and one JSON file under `--folder`; a cell whose
file exists is not run again. Training uses the part of train that shares no judged document with
the evaluation splits; weights are picked on 15 % of it; dev (and test) are opened once, here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from grid import Collection, command_line, judged

HELD_OUT = 0.1
"""Share of the documents, by hash of id, that the insertion cells keep out of training."""


COLLECTIONS = {
    "cranfield": Collection("train_clean", {"cranfield dev+test": ("dev", "test")}),
    "apibench": Collection(
        "train", {"apibench dev_seen": ("dev_seen",), "apibench dev_unseen": ("dev_unseen",)}
    ),
    "scifact": Collection("train_clean", {"scifact dev": ("dev",)}),
}
UNTRAINED = ("bm25", "dense", "hybrid")
TRAINED = (
    "dual_encoder",
    "generative",
    "dsi_qg",
    "dsi_naive+qg",
    "dsi_semantic",
    "dsi_naive",
    "dsi_atomic+qg",
    "ultron_pq",
    "genre",
    "dual_encoder_hard",
    "dsi_atomic",
)
INSERTION = ("bm25", "dense", "dsi_atomic+qg", "genre", "generative", "dsi_qg", "ultron_pq")

CLAIMED = {
    ("plain", name)
    for name in (*UNTRAINED, "dual_encoder", "generative", "dsi_qg", "dsi_semantic", "dsi_naive")
}
CLAIMED |= {("insert", name) for name in ("bm25", "dense", "dsi_atomic+qg", "genre")}
"""What the expectations of the report rest on; these get all their seeds first."""


def variants() -> dict[str, Callable[[], Any]]:
    """The named recipes and the controls that swap one choice of them."""
    from retrograd.recipes import RECIPES

    stages = RECIPES["dsi_qg"]().stages
    controls = {
        f"{name}+qg": lambda name=name: replace(RECIPES[name](), stages=stages)
        for name in ("dsi_naive", "dsi_atomic")
    }
    return RECIPES | controls


def cells(seeds: int) -> list[tuple[str, str, int, str]]:
    """(collection, system, seed, kind): every seed of what the claims rest on, then the rest."""
    trained = [(s, seed, "plain") for seed in range(seeds) for s in TRAINED]
    inserted = [
        (s, seed, "insert") for seed in range(seeds) for s in INSERTION if seed == 0 or s not in UNTRAINED
    ]
    runs = [(s, 0, "plain") for s in UNTRAINED] + trained + inserted
    ordered = sorted(runs, key=lambda run: (run[2], run[0]) not in CLAIMED)
    return [(collection, *run) for run in ordered for collection in COLLECTIONS]


def run_cell(collection: str, system: str, seed: int, kind: str) -> dict[str, Any]:
    """Fit and measure one cell; everything a table may want, per query."""
    import torch

    torch.set_num_threads(1)
    from retrograd.data.dataset import load_dataset
    from retrograd.data.splits import hash_fraction
    from retrograd.evaluation.cost import Timing, measure_cost
    from retrograd.evaluation.measures import evaluate
    from retrograd.training.fit import fit
    from retrograd.updates.insert import insert

    dataset = load_dataset(Path(os.environ["RETROGRAD_DATA"]) / collection)
    plan = COLLECTIONS[collection]
    recipe = variants()[system]()
    held = set(hash_fraction(dataset.corpus.ids, HELD_OUT, salt="insert")) if kind == "insert" else set()
    started = time.monotonic()
    fitted = fit(recipe, dataset.without(held) if held else dataset, train_split=plan.train, seed=seed)
    seconds = time.monotonic() - started
    if held:
        fitted = insert(fitted, [document for document in dataset.corpus if document.id in held])
    result: dict[str, Any] = {"seconds": seconds, "stages": fitted.manifest["stages"], "claims": {}}
    for claim, splits in plan.claims.items():
        queries, qrels = judged(dataset, splits)
        if held:
            qrels = {q: {d: g for d, g in docs.items() if d in held} for q, docs in qrels.items()}
            qrels = {q: docs for q, docs in qrels.items() if any(g > 0 for g in docs.values())}
            queries = [query for query in queries if query.id in qrels]
        if not queries:
            continue
        ranking = fitted.search(queries, k=100)
        latency = measure_cost(fitted, queries, Timing(k=10, warm_up=3, single=40)).latency_p50_ms
        scores = evaluate(ranking, qrels, measures=("nDCG@10", "R@10", "R@100"))
        result["claims"][claim] = {
            "mean": scores.mean,
            "per_query": scores.per_query,
            "ms_per_query": latency,
        }
    return result


if __name__ == "__main__":
    command_line(__file__, __doc__, "build/spine", cells, run_cell)
