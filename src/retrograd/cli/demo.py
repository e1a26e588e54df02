"""`retrograd demo`: three systems on a shipped sample of real data, measured and asked, without network.

A lexical system, a frozen dense one and one that generates docids, all through the same calls a
user makes on data of their own.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from retrograd.artifacts import check_folder, read_manifest
from retrograd.cli.settings import use_threads, without_cache
from retrograd.cli.show import answers_table, console
from retrograd.recipe import to_json

if TYPE_CHECKING:
    from rich.table import Table

    from retrograd.data.dataset import Dataset
    from retrograd.recipe import Recipe
    from retrograd.system import System

DEMO_RECIPE = "dgi_plus"
"""The generative system that is shown."""

RECIPES = ("bm25", "dense", DEMO_RECIPE)
SAMPLE = "apibench"
SPLITS = ("dev_seen", "dev_unseen")
MEASURES = ("nDCG@10", "R@10", "R@100")
TIMED_QUERIES = 50


def demo_command(out: Path, *, threads: int) -> None:
    """Fit (or open what an earlier call fitted), compare, answer, and say how to go on."""
    os.environ.setdefault("RETROGRAD_OFFLINE", "1")  # the sample and the encoder are on this machine
    use_threads(threads)
    from retrograd.data.dataset import load_dataset
    from retrograd.data.sample import sample_path

    dataset = load_dataset(sample_path(SAMPLE))
    screen = console()
    screen.print(
        f"{SAMPLE}: {len(dataset.corpus):,} APIs, real instructions; {SPLITS[0]} asks for APIs that have "
        f"training instructions, {SPLITS[1]} for APIs that have none."
    )
    systems = {name: ready(name, dataset, out / name) for name in RECIPES}
    screen.print(comparison(systems, dataset))
    show_answers(systems[DEMO_RECIPE], dataset)
    screen.print(next_steps())


def ready(name: str, dataset: Dataset, folder: Path) -> System:
    """The system in the folder where it still fits this recipe and data, else a fresh one."""
    from retrograd.recipes import recipe
    from retrograd.system import System
    from retrograd.training.fit import fit

    chosen = recipe(name)
    if is_current(folder, chosen, dataset):
        print(f"{name}: opening {folder}", file=sys.stderr)
        return System.load(folder)
    print(f"{name}: {chosen.summary}", file=sys.stderr)
    return fit(chosen, dataset, folder)


def is_current(folder: Path, recipe: Recipe, dataset: Dataset) -> bool:
    """Whether a sound system of this recipe on this data stands in the folder."""
    if not (folder / "manifest.json").is_file() or check_folder(folder):
        return False
    manifest = read_manifest(folder)
    same_data = manifest.get("data_hashes") == dict(dataset.hashes)
    return bool(same_data and manifest.get("recipe_value") == to_json(recipe))


def comparison(systems: Mapping[str, System], dataset: Dataset) -> Table:
    """Quality on both splits and time per query."""
    from rich import box
    from rich.table import Table

    from retrograd.evaluation.measures import evaluate

    grid = Table(box=box.SIMPLE, pad_edge=False)
    grid.add_column("system")
    for heading in [f"{split}\n{measure}" for split in SPLITS for measure in MEASURES] + ["ms/query"]:
        grid.add_column(heading, justify="right")
    for name, system in systems.items():
        means = []
        for split in SPLITS:
            queries, qrels = dataset.split(split)
            mean = evaluate(system.search(queries, k=100), qrels, MEASURES).mean
            means += [f"{mean[measure]:.3f}" for measure in MEASURES]
        grid.add_row(name, *means, f"{milliseconds(system, dataset):.1f}")
    return grid


def milliseconds(system: System, dataset: Dataset) -> float:
    """Median time of one query alone, its text encoded anew."""
    from retrograd.evaluation.cost import Timing, measure_cost
    from retrograd.system import System

    queries, _ = dataset.split(SPLITS[0])
    with without_cache():
        fresh = System.load(system.folder)
        return measure_cost(fresh, queries[:TIMED_QUERIES], Timing(k=10)).latency_p50_ms


def show_answers(system: System, dataset: Dataset) -> None:
    """Three instructions at fixed places of the splits, with what was generated for each."""
    screen = console()
    seen, unseen = (dataset.split(split) for split in SPLITS)
    examples = ((seen, 0), (seen, len(seen[0]) // 2), (unseen, 0))
    for (queries, qrels), at in examples:
        query = queries[at]
        right = [document for document, grade in qrels[query.id].items() if grade > 0]
        titles = [f"{document} {system.corpus[system.corpus.row_of[document]].title}" for document in right]
        screen.print(f"\n{query.text}\nwanted: {', '.join(titles)}")
        hits = system.search([query], k=3).hits[0]
        screen.print(answers_table(hits, system.corpus, system.table, explain=True))


def next_steps() -> str:
    """The three commands for data of one's own."""
    program = program_name()
    return (
        "\nYour own data: a folder with corpus.jsonl (_id, title, text), queries.jsonl (_id, text) and\n"
        "qrels/train.tsv (query-id, corpus-id, score). Without queries, it learns from documents alone.\n\n"
        f"  {program} fit {DEMO_RECIPE} --data DIR --out my-system\n"
        f'  {program} search my-system "your question" --explain\n'
        f"  {program} eval my-system --data DIR --split dev\n"
    )


def program_name() -> str:
    """What to type: `retrograd` where the shell finds it, else the path to it."""
    beside = Path(sys.executable).parent / "retrograd"
    if shutil.which("retrograd") or not beside.exists():
        return "retrograd"
    return os.path.relpath(beside)
