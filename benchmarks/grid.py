"""Grids of runs: one process and one JSON file per cell, a few at a time, within a budget, resumable.

Knows cells as names; what a cell measures is the business of the script that has the grid. A cell
whose file exists is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrograd.data.dataset import Dataset
from retrograd.types import Qrels, Query

Cell = tuple[str, str, int, str]
"""Collection, system, seed, kind."""


@dataclass(frozen=True)
class Collection:
    """Where a collection's training judgements and its claims come from."""

    train: str
    claims: dict[str, tuple[str, ...]]
    """Name of a claim -> splits whose queries are judged together."""

    folder: str = ""
    """Of the data; the collection's own name where empty."""


def judged(dataset: Dataset, splits: Sequence[str]) -> tuple[list[Query], Qrels]:
    """The queries of several splits with their judgements."""
    queries: list[Query] = []
    qrels: dict[str, Any] = {}
    for split in splits:
        more, found = dataset.split(split)
        queries += more
        qrels |= found
    return queries, qrels


def path_of(folder: Path, cell: Cell) -> Path:
    """The file of a cell."""
    collection, system, seed, kind = cell
    return folder / f"{kind}.{collection}.{system}.{seed}.json"


def run(script: str, cells: Sequence[Cell], folder: Path, workers: int, budget_minutes: float) -> None:
    """Work through the cells with a few processes until all are done or the budget is spent."""
    folder.mkdir(parents=True, exist_ok=True)
    left = [cell for cell in cells if not path_of(folder, cell).exists()]
    deadline = time.monotonic() + 60 * budget_minutes
    running: dict[subprocess.Popen[bytes], Cell] = {}
    total, done = len(left), 0
    while running or (left and time.monotonic() < deadline):
        while left and len(running) < workers and time.monotonic() < deadline:
            cell = left.pop(0)
            command = [sys.executable, script, "cell", *map(str, cell), "--folder", str(folder)]
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


def write_cell(folder: Path, cell: Cell, result: dict[str, Any]) -> None:
    """One cell, written whole or not at all."""
    result = result | {"cell": cell, "hardware": hardware()}
    path = path_of(folder, cell)
    path.with_suffix(".tmp").write_text(json.dumps(result))
    path.with_suffix(".tmp").rename(path)


def command_line(
    script: str,
    doc: str,
    folder: str,
    cells: Callable[[int], Sequence[Cell]],
    run_cell: Callable[[str, str, int, str], dict[str, Any]],
) -> None:
    """`run` and `cell`, the two verbs of every grid."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True, dest="verb")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--folder", type=Path, default=Path(folder))
    runner = verbs.add_parser("run", parents=[shared])
    runner.add_argument("--budget-minutes", type=float, default=120)
    runner.add_argument("--workers", type=int, default=2)
    runner.add_argument("--seeds", type=int, default=3)
    for name in ("collections", "systems", "kinds"):
        runner.add_argument(f"--{name}", nargs="*", default=[])
    one = verbs.add_parser("cell", parents=[shared])
    for name, kind in (("collection", str), ("system", str), ("seed", int), ("kind", str)):
        one.add_argument(name, type=kind)
    given = parser.parse_args()
    if given.verb == "cell":
        cell = (given.collection, given.system, given.seed, given.kind)
        write_cell(given.folder, cell, run_cell(*cell))
        return
    wanted = [
        cell
        for cell in cells(given.seeds)
        if (not given.collections or cell[0] in given.collections)
        and (not given.systems or cell[1] in given.systems)
        and (not given.kinds or cell[3] in given.kinds)
    ]
    run(script, wanted, given.folder, given.workers, given.budget_minutes)
