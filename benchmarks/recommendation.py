"""Recommenders side by side on dev: docs/results_recommendation.md and one compact JSON.

    RETROGRAD_DATA=... python benchmarks/recommendation.py --commit ...
    ... --also sasrec=build/sasrec-0 --also sasrec=build/sasrec-1     # fitted systems; equal names are seeds
    ... --also sasrec=build/sasrec_counts-0      # the network of one recipe, asked as another one asks

The baselines that only count are fitted and asked here, which takes a minute or two; whatever was trained is
opened from its folder. All are asked for the same users by full ranking over all items.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from grid import hardware
from recommendation_published import KNOWN, published_part
from report import markdown

from retrograd.data.audit import SORTED_SHARE, ascending_share
from retrograd.data.dataset import Dataset, load_dataset
from retrograd.errors import InputError
from retrograd.evaluation.compare import Comparison, compare
from retrograd.evaluation.measures import NEXT_ITEM_MEASURES, average_seeds, evaluate
from retrograd.evaluation.next_item_slices import sliced_table, slices_of_targets, slices_of_users
from retrograd.evaluation.ties import with_ties
from retrograd.recipes import RECIPES, recipe
from retrograd.system import System
from retrograd.training.fit import fit
from retrograd.types import Qrels, Query, Ranking, Searcher

BASELINES = ("transition_knn", "transition_knn_wide", "markov", "item_knn", "dense_next_item", "pop")
COMPARED_WITH = "transition_knn"
ALSO_COMPARED_WITH = ("sasrec", "sasrec_counts", "tiger")
DEPTH = 50
"""Answers asked of every system; a tie that reaches beyond them is a miss under every rule but its own."""

SLICED = "R@10"
COUNTERS = ("transition_knn", "transition_knn_wide", "markov", "item_knn")
INTRODUCTION = """# Results of recommendation

Each user's last item is to be found among **all** items, from the items before it: no sampled candidates, no
match of strings. Items of the history are never answers. Equal scores go by place in the collection (the
smallest id) unless a column says otherwise; `item_knn` puts the more popular first. Nothing was tuned on dev:
what learns was tuned on users cut from train; the counters' settings come with their definitions, and whether
those were picked on this very dev part is not known. Where a line has several seeds, intervals cover users,
with the seeds of each averaged. How to run them is in [Recommendation](recommendation.md).
"""
TIES = (
    "A counter scores many items alike, so the rule for equal scores is part of every figure. *First "
    "touched*: the item met first while counting. *Worst*: the target behind all its equals. *Popularity, "
    "then worst*: behind its equals that were taken as often. In brackets: an independent count of the same "
    "definition."
)
SLICES = (
    "In these data about 44 % of neighbouring interactions carry the same time and are then ordered by "
    "product code, which flatters whoever predicts the next item. Without timestamps a last step that "
    "*descends* in product code is certainly no such tie: **claims belong beside that column**. Popularity "
    "counts what may be learnt from; slice 1 is the most taken fifth of the items, cold items were never "
    "taken. Numbers of users in brackets."
)
SMALL = (
    "Ratings with timestamps (610 users, 9,742 films; long histories, many ratings in one sitting), so that "
    "targets tied in time with the last item are known. Cut at each user's last rating, and at one moment "
    "for all (`--cut temporal`: the tenth of the ratings before the last tenth is dev)."
)


@dataclass(frozen=True)
class Answered:
    """One system that was asked for everybody."""

    ranking: Ranking
    fit_seconds: float
    users_per_second: float


def refuse_sorted(dataset: Dataset) -> None:
    """No table is made of sequences that are sorted by item.

    Raises:
        InputError: they are.
    """
    share, pairs = ascending_share(dataset.histories.values(), dataset.corpus)
    if share > SORTED_SHARE:
        raise InputError(f"{dataset.name}: {share:.1%} of {pairs:,} neighbours ascend; the file is sorted")


def ask(system: Searcher, queries: Sequence[Query], fit_seconds: float) -> Answered:
    """All users in one call."""
    started = time.perf_counter()
    ranking = system.search(queries, DEPTH)
    return Answered(ranking, fit_seconds, len(queries) / (time.perf_counter() - started))


def baselines(dataset: Dataset, queries: Sequence[Query], names: Sequence[str]) -> dict[str, Answered]:
    """Fit and ask each."""
    found = {}
    for name in names:
        started = time.perf_counter()
        system = fit(recipe(name), dataset)
        found[name] = ask(system, queries, time.perf_counter() - started)
        print(f"{dataset.name}: {name}", flush=True)
    return found


def compared(
    answered: Mapping[str, Sequence[Answered]], qrels: Qrels, title: str, baseline: str = COMPARED_WITH
) -> Comparison:
    """The main table."""
    scores = {
        name: [evaluate(one.ranking, qrels, NEXT_ITEM_MEASURES) for one in seeds]
        for name, seeds in answered.items()
    }
    costs = {
        name: {"fit s": seeds[0].fit_seconds, "users/s": seeds[0].users_per_second}
        for name, seeds in answered.items()
    }
    return replace(compare(scores, baseline=baseline, costs=costs, title=title), decimals=4)


def differences(comparison: Comparison) -> str:
    """How far each system is from the one compared with, with intervals."""
    rows = []
    for system in comparison.systems:
        if system != comparison.baseline:
            cells = [comparison.cells[system, measure] for measure in comparison.measures]
            rows.append([f"`{system}`", *(_difference(cell) for cell in cells)])
    return markdown([f"less `{comparison.baseline}`", *comparison.measures], rows)


def _difference(cell: Any) -> str:
    found = cell.difference
    return f"{found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}], p={cell.adjusted_p:.2g}"


def ties_table(
    dataset: Dataset, answered: Mapping[str, Sequence[Answered]], queries: Sequence[Query], qrels: Qrels
) -> tuple[str, dict[str, dict[str, float]]]:
    """R@10 of every system under every rule, and the same as numbers."""
    rules = ("first touched", "smallest id", "worst", "popularity, then worst")
    found: dict[str, dict[str, float]] = {}
    for name, seeds in answered.items():
        own = seeds[0].ranking
        rankings = {} if name in COUNTERS else {"smallest id": own}
        if name in COUNTERS:
            for rule, ties in (("first touched", "first_touched"), ("smallest id", "smallest_row")):
                chosen = recipe(name)
                system = fit(replace(chosen, search=replace(chosen.search, ties=ties)), dataset)
                rankings[rule] = system.search(queries, DEPTH)
        rankings["worst"] = with_ties(own, qrels, "worst", DEPTH)
        popular = own
        if name in COUNTERS and recipe(name).search.ties != "popularity":
            chosen = recipe(name)
            system = fit(replace(chosen, search=replace(chosen.search, ties="popularity")), dataset)
            popular = system.search(queries, DEPTH)
        rankings["popularity, then worst"] = with_ties(
            popular, qrels, "popularity", DEPTH, dataset.popularity
        )
        found[name] = {rule: evaluate(r, qrels, [SLICED]).mean[SLICED] for rule, r in rankings.items()}
    rows = [[f"`{name}`", *(_known(name, rule, values) for rule in rules)] for name, values in found.items()]
    return markdown([f"{SLICED} with equal scores by", *rules], rows), found


def _known(name: str, rule: str, values: Mapping[str, float]) -> str:
    if rule not in values:
        return "-"
    known = KNOWN.get((name, rule))
    return f"{values[rule]:.4f}" + ("" if known is None else f" ({known:.4f})")


def slice_tables(
    dataset: Dataset, answered: Mapping[str, Sequence[Answered]], qrels: Qrels, split: str
) -> list[str]:
    """One table per way to slice, seeds averaged per user."""
    scores = {
        name: average_seeds([evaluate(one.ranking, qrels, [SLICED]) for one in seeds])
        for name, seeds in answered.items()
    }
    users = slices_of_users({n: s.per_query[SLICED] for n, s in scores.items()}, dataset.slices[split])
    first = {name: seeds[0].ranking for name, seeds in answered.items()}
    targets = slices_of_targets(first, qrels, SLICED, dataset.corpus.ids, dataset.popularity or {})
    return [sliced_table(f"{SLICED} by {what}", found) for what, found in (users | targets).items()]


def small_part(folder: Path) -> list[str]:
    """The set that has timestamps."""
    parts = [f"## Films, with timestamps\n\n{SMALL}"]
    for cut in ("last", "temporal"):
        dataset = load_dataset(folder, cut=cut)
        queries, qrels = dataset.split("dev")
        answered = {name: [one] for name, one in baselines(dataset, queries, BASELINES).items()}
        title = f"{folder.name} dev, cut {cut}, split {dataset.split_hash('dev')[:12]}"
        parts.append(compared(answered, qrels, title).markdown())
        if cut == "last":
            parts += [table for table in slice_tables(dataset, answered, qrels, "dev") if "time of" in table]
    return parts


def also(given: Sequence[str], queries: Sequence[Query]) -> dict[str, list[Answered]]:
    """Fitted systems from their folders, those of one name as seeds."""
    found: dict[str, list[Answered]] = {}
    for text in given:
        name, _, folder = text.partition("=")
        system = System.load(folder)
        asked = asked_as(name, system)
        found.setdefault(name, []).append(ask(asked, queries, float(system.manifest["seconds"])))
    return found


def asked_as(name: str, system: System) -> Searcher:
    """The system; where another recipe of that name only asks otherwise, its parts asked so."""
    search = RECIPES[name]().search if name in RECIPES else system.recipe.search
    if search == system.recipe.search:
        return system
    built: Searcher = search.build(system.parts)
    return built


def compact(comparison: Comparison) -> dict[str, dict[str, float]]:
    """System -> measure -> mean."""
    return {
        system: {m: round(comparison.cells[system, m].interval.mean, 6) for m in comparison.measures}
        for system in comparison.systems
    }


def main() -> None:
    """Write the page and the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RETROGRAD_DATA", "data")))
    parser.add_argument("--out", type=Path, default=Path("docs/results_recommendation.md"))
    parser.add_argument(
        "--json", type=Path, default=Path(f"benchmarks/results/{date.today()}-recommendation.json")
    )
    parser.add_argument("--also", action="append", default=[], metavar="NAME=SYSTEM")
    parser.add_argument("--commit", required=True, help="the commit this is run at")
    given = parser.parse_args()
    dataset = load_dataset(given.data / "amazon_beauty")
    refuse_sorted(dataset)
    queries, qrels = dataset.split("dev")
    answered = {name: [one] for name, one in baselines(dataset, queries, BASELINES).items()}
    answered |= also(given.also, queries)
    split = dataset.split_hash("dev")
    comparison = compared(answered, qrels, f"amazon_beauty dev, split {split[:12]}")
    ties, by_rule = ties_table(dataset, answered, queries, qrels)
    text = [
        INTRODUCTION,
        f"By `benchmarks/recommendation.py` on {date.today()} at commit `{given.commit}`; {hardware()}.",
        f"## Reproduced here\n\n{comparison.markdown()}",
        differences(comparison),
        *[
            differences(compared(answered, qrels, name, baseline=name))
            for name in ALSO_COMPARED_WITH
            if name in answered
        ],
        f"## Equal scores\n\n{TIES}",
        ties,
        f"## Slices\n\n{SLICES}",
        *slice_tables(dataset, answered, qrels, "dev"),
        *small_part(given.data / "movielens_small"),
        *published_part(),
    ]
    given.out.write_text("\n\n".join(part.strip() for part in text) + "\n")
    result = {
        "commit": given.commit,
        "hardware": hardware(),
        "split_sha256": split,
        "means": compact(comparison),
        f"{SLICED}_by_tie_rule": by_rule,
        "costs": comparison.costs,
    }
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(result, indent=1) + "\n")
    print(given.out.read_text())


if __name__ == "__main__":
    main()
