"""The grid behind docs/results.md: every recipe of the spine on three collections, several seeds.

    python benchmarks/spine.py run --budget-minutes 120 --workers 2     # resumable: finished cells are kept
    python benchmarks/spine.py report                                   # tables from what has finished

Each cell (collection, system, seed) is one process and one JSON file under `--folder`; a cell whose
file exists is not run again. Training uses the part of train that shares no judged document with
the evaluation splits; weights are picked on 15 % of it; dev (and test) are opened once, here.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

HELD_OUT = 0.1
"""Share of the documents, by hash of id, that the insertion cells keep out of training."""


@dataclass(frozen=True)
class Collection:
    """Where a collection's training judgements and its claims come from."""

    train: str
    claims: dict[str, tuple[str, ...]]
    """Name of a claim -> splits whose queries are judged together."""


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
        queries, qrels = [], {}
        for split in splits:
            more, judged = dataset.split(split)
            queries += more
            qrels |= judged
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


def run(arguments: argparse.Namespace) -> None:
    """Work through the cells with a few processes until all are done or the budget is spent."""
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    left = [
        cell
        for cell in cells(arguments.seeds)
        if not path_of(folder, cell).exists()
        and (not arguments.systems or cell[1] in arguments.systems)
        and (not arguments.kinds or cell[3] in arguments.kinds)
    ]
    deadline = time.monotonic() + 60 * arguments.budget_minutes
    running: dict[subprocess.Popen[bytes], tuple[str, str, int, str]] = {}
    total, done = len(left), 0
    while running or (left and time.monotonic() < deadline):
        while left and len(running) < arguments.workers and time.monotonic() < deadline:
            cell = left.pop(0)
            command = [sys.executable, __file__, "cell", *map(str, cell), "--folder", str(folder)]
            log = path_of(folder, cell).with_suffix(".log").open("wb")
            environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
            running[subprocess.Popen(command, stdout=log, stderr=log, env=environment)] = cell
        for process in [p for p in running if p.poll() is not None]:
            done += 1
            state = "done" if process.returncode == 0 else "FAILED"
            print(f"{done}/{total} {state} {' '.join(map(str, running.pop(process)))}", flush=True)
        time.sleep(0.5)


def hardware() -> str:
    """Processor and cores of this machine."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, one thread per run"


def path_of(folder: Path, cell: tuple[str, str, int, str]) -> Path:
    """The file of a cell."""
    collection, system, seed, kind = cell
    return folder / f"{kind}.{collection}.{system}.{seed}.json"


def cell_command(arguments: argparse.Namespace) -> None:
    """One cell, written whole or not at all."""
    cell = (arguments.collection, arguments.system, arguments.seed, arguments.kind)
    result = run_cell(*cell)
    result["cell"] = cell
    result["hardware"] = hardware()
    path = path_of(arguments.folder, cell)
    path.with_suffix(".tmp").write_text(json.dumps(result))
    path.with_suffix(".tmp").rename(path)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--folder", type=Path, default=Path("build/spine"))
    runner = verbs.add_parser("run", parents=[shared])
    runner.add_argument("--budget-minutes", type=float, default=120)
    runner.add_argument("--workers", type=int, default=2)
    runner.add_argument("--seeds", type=int, default=3)
    runner.add_argument("--systems", nargs="*", default=[])
    runner.add_argument("--kinds", nargs="*", default=[])
    runner.set_defaults(call=run)
    one = verbs.add_parser("cell", parents=[shared])
    for name, kind in (("collection", str), ("system", str), ("seed", int), ("kind", str)):
        one.add_argument(name, type=kind)
    one.set_defaults(call=cell_command)
    arguments = parser.parse_args()
    arguments.call(arguments)


if __name__ == "__main__":
    main()
