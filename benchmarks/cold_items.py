"""Items nobody took: what each recommender does with items that join after it was fitted.

    RETROGRAD_DATA=... python benchmarks/cold_items.py --commit ...    # resumable

A twentieth of the items is hidden: they are in no collection that is fitted and no history that is learnt.
Then they are added (`retrograd add`), and users whose last item is one of them are asked for it, with the
hidden items left out of what they took before. Beside them all other users, so that what the new items cost
is seen too. Full ranking over all items, the new ones included.
"""

from __future__ import annotations

import argparse
import json
import os
import zlib
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from grid import hardware
from report import markdown

from retrograd.data.dataset import Dataset, load_dataset
from retrograd.evaluation.measures import evaluate
from retrograd.recipe import Recipe
from retrograd.recipes import recipe
from retrograd.training.fit import fit
from retrograd.types import Qrels, Query
from retrograd.updates.insert import insert

HIDDEN = 20
"""One item in so many."""

MEASURES = ("R@10", "R@50")


def hidden(item: str) -> bool:
    """Whether an item joins late; by its id alone."""
    return zlib.crc32(f"cold {item}".encode()) % HIDDEN == 0


def before(dataset: Dataset) -> Dataset:
    """The dataset without the hidden items."""
    return dataset.subset([document.id for document in dataset.corpus if not hidden(document.id)])


def asked(dataset: Dataset) -> tuple[list[Query], dict[str, Qrels]]:
    """All users whose history holds something else, and the judgements of those who want a hidden item, or
    another."""
    queries, qrels = dataset.split("dev")
    queries = [replace(query, history=tuple(i for i in query.history if not hidden(i))) for query in queries]
    queries = [query for query in queries if query.history]
    late = {query.id for query in queries if hidden(*qrels[query.id])}
    return queries, {
        "new items": {query.id: qrels[query.id] for query in queries if query.id in late},
        "others": {query.id: qrels[query.id] for query in queries if query.id not in late},
    }


def with_text(of: Recipe) -> Recipe:
    """The same recipe reading texts where it can."""
    return replace(of, model=replace(of.model, reads_text=True))


def systems() -> dict[str, Recipe]:
    """Who is asked."""
    generative = recipe("generative_next_item")
    plain = replace(generative, model=replace(generative.model, reads_text=False))
    return {
        "transition_knn": recipe("transition_knn"),
        "dense_next_item": recipe("dense_next_item"),
        "sasrec": recipe("sasrec"),
        "sasrec, reads text": with_text(recipe("sasrec")),
        "tiger": recipe("tiger"),
        "letter": recipe("letter"),
        "liger_like": recipe("liger_like"),
        "generative_next_item, no text": plain,
        "generative_next_item": generative,
    }


def run(name: str, chosen: Recipe, dataset: Dataset, folder: Path) -> dict[str, Any]:
    """Fit without the hidden items, add them, ask; the result is kept."""
    kept = folder / f"{name}.json"
    if kept.exists():
        found: dict[str, Any] = json.loads(kept.read_text())
        return found
    small = before(dataset)
    system = fit(chosen, small, seed=0)
    grown = insert(system, [document for document in dataset.corpus if hidden(document.id)])
    queries, wanted = asked(dataset)
    ranking = grown.search(queries, 50)
    result = {
        part: {m: evaluate(ranking, qrels, MEASURES).mean[m] for m in MEASURES} | {"users": len(qrels)}
        for part, qrels in wanted.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(result))
    return result


def table(results: dict[str, dict[str, Any]]) -> str:
    """One line per system."""
    first = next(iter(results.values()))
    header = ["system"]
    for part, found in first.items():
        header += [f"{measure}, {part} ({found['users']} users)" for measure in MEASURES]
    rows = [
        [f"`{name}`", *(f"{found[part][measure]:.4f}" for part in found for measure in MEASURES)]
        for name, found in results.items()
    ]
    return markdown(header, rows)


def main() -> None:
    """Print the table and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RETROGRAD_DATA", "data")))
    parser.add_argument("--folder", type=Path, default=Path("build/cold_items"))
    parser.add_argument("--systems", nargs="*", default=[])
    parser.add_argument("--commit", required=True, help="the commit this is run at")
    given = parser.parse_args()
    dataset = load_dataset(given.data / "amazon_beauty")
    results = {}
    for name, chosen in systems().items():
        if not given.systems or name in given.systems:
            results[name] = run(name, chosen, dataset, given.folder)
            print(name, results[name], flush=True)
    print(table(results))
    out = Path(f"benchmarks/results/{date.today()}-cold-items.json")
    out.write_text(
        json.dumps({"commit": given.commit, "hardware": hardware(), "results": results}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
