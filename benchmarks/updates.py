"""Documents that join a fitted system one by one: how long it takes, how well they are found, what it costs.

On scifact, 200 documents are kept out of the fit, then added through a live system. Each is asked for by
pseudo-queries of its own that were drawn with another seed than those it was added or trained with. The
same questions go to the system after light training, and to one that was fitted with all documents at
once. What the additions do to the answers of judged dev queries is counted per query.

    RETROGRAD_DATA=... python benchmarks/updates.py --steps 1000
    python benchmarks/updates.py --table benchmarks/results/updates-2026-11-20.json

Fitted systems stay in `--folder` and are not fitted again; a later run on the same day replaces its systems
in the result and keeps the others. Times are taken with one thread and without
the embedding cache; beside the clock's they are given in processor time, which other work on the machine
disturbs less.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from grid import hardware
from spine import variants

HELD, SEED = 200, 0
DELETED = 50
SYSTEMS = ("bm25", "dense", "generative", "dsi_atomic+qg", "dgi_plus")
RESULTS = Path(__file__).parent / "results"
TIMES = "times_alone"
"""What `--only-times` found, beside the rest."""


def cut(recipe: Any, steps: int) -> Any:
    """The recipe with at most so many steps in a stage."""
    stages = tuple(
        replace(stage, min_steps=min(steps, stage.min_steps), max_steps=min(steps, stage.max_steps))
        for stage in recipe.stages
    )
    return replace(recipe, stages=stages)


def fitted(folder: Path, recipe: Any, dataset: Any) -> Any:
    """The system in a folder, fitted where it is not there yet."""
    from retrograd.system import System
    from retrograd.training.fit import fit

    if folder.exists():
        return System.load(folder)
    return fit(recipe, dataset, folder, train_split="train_clean", seed=SEED)


def collection() -> tuple[Any, Any, list[Any]]:
    """scifact; the same without the documents that are added later and their judgements; those documents."""
    from retrograd.data.dataset import load_dataset

    dataset = load_dataset(Path(os.environ["RETROGRAD_DATA"]) / "scifact")
    order = np.random.default_rng(SEED).permutation(len(dataset.corpus))[:HELD]
    new = [dataset.corpus[row] for row in np.sort(order).tolist()]
    return dataset, dataset.without({document.id for document in new}), new


def questions(recipe: Any, documents: Sequence[Any], background: Any) -> list[tuple[str, str]]:
    """(document id, text): pseudo-queries of another seed, without any text that insertion may have used."""
    from retrograd.training.own_queries import pseudo_query_source
    from retrograd.types import Corpus

    source, corpus = pseudo_query_source(recipe), Corpus(documents)
    seen = [
        {text.lower() for text in group}
        for group in source.generator.generate(corpus, source.per_document, source.seed, background)
    ]
    fresh = source.generator.generate(corpus, source.per_document, source.seed + 1, background)
    return [
        (document.id, text)
        for document, group, known in zip(documents, fresh, seen, strict=True)
        for text in dict.fromkeys(group)
        if text.lower() not in known
    ]


def hit_rates(system: Any, asked: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Share of the questions whose document comes first, and among the first ten."""
    ranked = system.search([text for _, text in asked], k=10).documents().values()
    places = [
        found.index(wanted) if wanted in found else 10
        for found, (wanted, _) in zip(ranked, asked, strict=True)
    ]
    return {"hit@1": float(np.mean(np.array(places) < 1)), "hit@10": float(np.mean(np.array(places) < 10))}


def judged_scores(system: Any, dataset: Any, held: set[str]) -> dict[str, float]:
    """nDCG@10 of each dev query with a relevant document that was there from the start."""
    from retrograd.evaluation.measures import evaluate

    queries, qrels = dataset.split("dev")
    old = {query: {d: g for d, g in docs.items() if d not in held} for query, docs in qrels.items()}
    old = {query: docs for query, docs in old.items() if any(grade > 0 for grade in docs.values())}
    asked = [query for query in queries if query.id in old]
    scores: dict[str, float] = evaluate(system.search(asked, k=10), old, measures=("nDCG@10",)).per_query[
        "nDCG@10"
    ]
    return scores


def against(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """How many dev queries score otherwise than before, and both means."""
    changed = sum(abs(before[query] - after[query]) > 1e-9 for query in before)
    means = {"nDCG@10": float(np.mean([after[query] for query in before]))}
    return {"queries": len(before), "changed": changed, **means}


def timed(calls: Sequence[Callable[[], Any]]) -> dict[str, float]:
    """Median and 95th percentile over the calls, in ms, by the clock and in processor time."""
    wall, processor = [], []
    for call in calls:
        began = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - began[0])
        processor.append(time.process_time() - began[1])
    return {
        f"{name}_p{percent}_ms": 1000 * float(np.percentile(values, percent))
        for name, values in (("wall", wall), ("processor", processor))
        for percent in (50, 95)
    }


def with_fresh_rows(system: Any, new_ids: Sequence[str]) -> Any | None:
    """The same with the mean row where a row was solved; None where documents have no rows."""
    from retrograd.models.encoder_decoder import OUTPUT_ROW
    from retrograd.system import System
    from retrograd.training.own_queries import has_rows

    if not has_rows(system.recipe, system.parts):
        return None
    table, row_of = system.table, system.corpus.row_of
    mean = {OUTPUT_ROW: system.base.model.output_rows(0).detach().numpy().mean(axis=0)}
    fresh = [(table.key(int(table.keys_of(row_of[id])[0])), mean) for id in new_ids]
    model = system.model.grown(table.level_sizes, fresh)
    return System.assemble(system.recipe, replace(system.parts, model=model), system.fitted)


def live_times(folder: Path, copied: Path, new: Sequence[Any], text_of: dict[str, str]) -> dict[str, Any]:
    """How long documents take to join a copy of a system, one by one, until each has been asked for."""
    from retrograd.updates.live import LiveSystem

    shutil.rmtree(copied, ignore_errors=True)
    shutil.copytree(folder, copied)
    cache = os.environ.get("RETROGRAD_CACHE")
    os.environ["RETROGRAD_CACHE"] = "off"
    with LiveSystem.open(copied) as live:
        live.search("opens what opens when it is first asked")

        def add(document: Any, text: str) -> None:
            live.add([document])
            live.search(text)

        asked = [(document, text_of.get(document.id, document.title)) for document in new]
        added = timed([lambda d=d, text=text: add(d, text) for d, text in asked])
        searched = timed([lambda text=text: live.search(text) for _, text in asked])
    os.environ.pop("RETROGRAD_CACHE")
    os.environ.update({} if cache is None else {"RETROGRAD_CACHE": cache})
    return {"add": added, "search": searched}


def delete_times(copied: Path, ids: Sequence[str]) -> dict[str, float]:
    """How long documents take to leave, one by one."""
    from retrograd.updates.live import LiveSystem

    with LiveSystem.open(copied) as live:
        return timed([lambda id=id: live.delete([id]) for id in ids])


def times(name: str, steps: int, folder: Path) -> dict[str, Any]:
    """Only the times of one system."""
    _, without, new = collection()
    kept, copied = (folder / f"{name}.{steps}.{state}" for state in ("without", "live"))
    recipe = cut(variants()[name](), steps)
    fitted(kept, recipe, without)
    text_of = dict(reversed(questions(recipe, new, without.corpus)))
    found = live_times(kept, copied, new, text_of)
    return found | {"delete": delete_times(copied, [document.id for document in new[:DELETED]])}


def measure(name: str, steps: int, light: Any, folder: Path) -> dict[str, Any]:
    """Everything about one system."""
    from retrograd.system import System
    from retrograd.updates.replay import train

    dataset, without, new = collection()
    ids = [document.id for document in new]
    held = set(ids)
    recipe = cut(variants()[name](), steps)
    base = fitted(folder / f"{name}.{steps}.without", recipe, without)
    whole = fitted(folder / f"{name}.{steps}.whole", recipe, replace(without, corpus=dataset.corpus))
    asked = questions(recipe, new, without.corpus)
    before = judged_scores(base, dataset, held)
    result: dict[str, Any] = {
        "documents": len(base.corpus),
        "questions": len(asked),
        "fitted": against(before, before),
        "rebuilt": hit_rates(whole, asked) | against(before, judged_scores(whole, dataset, held)),
    }
    copied = folder / f"{name}.{steps}.live"
    result |= live_times(folder / f"{name}.{steps}.without", copied, new, dict(reversed(asked)))
    grown = System.load(copied)
    result["added"] = hit_rates(grown, asked) | against(before, judged_scores(grown, dataset, held))
    fresh = with_fresh_rows(grown, ids)
    if fresh is not None:
        result["fresh"] = hit_rates(fresh, asked) | against(before, judged_scores(fresh, dataset, held))
    if recipe.stages:
        began = time.process_time()
        trained = train(grown, ids, light, judged=without.split("train_clean"))
        seconds = time.process_time() - began
        scores = against(before, judged_scores(trained, dataset, held))
        result["trained"] = hit_rates(trained, asked) | scores | {"processor_seconds": seconds}
    result["delete"] = delete_times(copied, ids[:DELETED])
    return result


def table(report: dict[str, Any]) -> str:
    """The report in Markdown."""
    heads = ("system", "add, then search: p50 / p95 ms (processor)", "search alone", "delete p50 / p95 ms")
    heads += ("state", "own hit@1", "own hit@10", "dev nDCG@10", "dev queries changed")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, result in report["systems"].items():
        add, delete, search = result["add"], result["delete"], result["search"]
        processor = f"({add['processor_p50_ms']:.0f} / {add['processor_p95_ms']:.0f})"
        times = [
            f"{add['wall_p50_ms']:.0f} / {add['wall_p95_ms']:.0f} {processor}",
            f"{search['wall_p50_ms']:.0f}",
            f"{delete['wall_p50_ms']:.0f} / {delete['wall_p95_ms']:.0f}",
        ]
        for state in ("fitted", "fresh", "added", "trained", "rebuilt"):
            if state not in result:
                continue
            found = result[state]
            hits = [f"{found[m]:.3f}" if m in found else "-" for m in ("hit@1", "hit@10")]
            cells = [name, *times, state, *hits, f"{found['nDCG@10']:.3f}"]
            lines.append("| " + " | ".join([*cells, f"{found['changed']} of {found['queries']}"]) + " |")
            name, times = "", [""] * len(times)
    return "\n".join(lines)


def main() -> None:
    """Measure, write the dated result, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--systems", nargs="+", default=SYSTEMS)
    parser.add_argument("--steps", type=int, default=1000, help="at most so many steps in a stage")
    parser.add_argument("--light-steps", type=int, default=200)
    parser.add_argument("--share-of-new", type=float, default=0.2)
    parser.add_argument(
        "--rate", type=float, default=0.1, help="light training's factor on the learning rate"
    )
    parser.add_argument("--folder", type=Path, default=Path("build/updates"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument(
        "--only-times", action="store_true", help="measure no more than how long changes take"
    )
    parser.add_argument("--table", type=Path, help="only print the table of this result")
    chosen = parser.parse_args()
    if chosen.table:
        print(table(json.loads(chosen.table.read_text())))
        return
    import torch

    torch.set_num_threads(1)
    from retrograd.updates.replay import Replay

    light = Replay(
        steps=chosen.light_steps, share_of_new=chosen.share_of_new, learning_rate_factor=chosen.rate
    )
    chosen.folder.mkdir(parents=True, exist_ok=True)
    date = datetime.date.today().isoformat()
    out = chosen.out / f"updates-{date}.json"
    report = json.loads(out.read_text()) if out.exists() else {"date": date, "held": HELD, "systems": {}}
    report["hardware"] = hardware()
    for name in chosen.systems:
        load = os.getloadavg()[0]
        if chosen.only_times:
            found = times(name, chosen.steps, chosen.folder)
            report["systems"].setdefault(name, {})[TIMES] = found | {"load_average": load}
            out.write_text(json.dumps(report, indent=1) + "\n")
            print(name, found)
            continue
        found = measure(name, chosen.steps, light, chosen.folder)
        about = {"most_steps_of_a_stage": chosen.steps, "light": vars(light), "load_average": load}
        report["systems"][name] = about | found
        out.write_text(json.dumps(report, indent=1) + "\n")
    if not chosen.only_times:
        print(table(report))


if __name__ == "__main__":
    main()
