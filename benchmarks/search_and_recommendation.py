"""One network for search and recommendation, and what it is measured against.

    RETROGRAD_DATA=... python benchmarks/search_and_recommendation.py run --seeds 1      # resumable
    ... run --collections tune --systems joint                                           # while tuning
    python benchmarks/search_and_recommendation.py table                                 # its tables

`dev` learns from all there is and asks for each user's last purchase: by the query alone, by the history
alone, by both; and for the plain queries. `tune` does the same one step earlier: 15 % of the train queries
are kept out of training, and 15 % of the users lose their last learnt purchase, with all its requests. The
networks trained on one task see as many rows of it as the joint one does, with the same ids. `unseen`
queries have no training pair, `seen` ones have. `query` leaves out what the asker took before as `both`
does, so that the two differ by what is read and by nothing else.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from grid import command_line, path_of
from report import markdown

FOLDER = "build/search_and_recommendation"
NETWORKS = ("joint", "recommendation only", "search only", "requests only", "no prompts")
BASELINES = ("bm25", "dense", "transition_knn", "pop", "click_memo")
HYBRID = "joint with bm25"
"""The joint network and BM25, each standardised per query; no second training."""

LATE = "two networks"
"""`search only` and `recommendation only`, their log-probabilities added up."""

CLAIMS = ("queries, unseen", "queries, seen", "next item", "requests, unseen", "requests, seen")
"""In the order of the tables."""

DEPTH = 60
MEASURES = ("nDCG@10", "R@10")
SEEN_FRACTION = 0.2
"""Of the requests with a query that was seen: there are many."""


@dataclass(frozen=True)
class Ground:
    """What is learnt from, and what is asked."""

    dataset: Any
    asked: dict[str, tuple[list[Any], Any]]
    """Claim -> queries and judgements."""


def ground(collection: str) -> Ground:
    """`tune` or `dev`."""
    from retrograd.data.both_tasks import load_both_tasks
    from retrograd.data.dataset import load_dataset
    from retrograd.data.splits import hash_fraction

    data = Path(os.environ["RETROGRAD_DATA"])
    folder, table = data / "amazon_beauty_search", data / "amazon_beauty" / "interactions.tsv.gz"
    dataset, plain = load_both_tasks(folder, table, requests=True), load_dataset(folder)
    if collection == "tune":
        return tune_ground(dataset, plain)
    asked = {
        "queries, unseen": plain.split("dev"),
        "queries, seen": plain.split("dev_seen"),
        "next item": dataset.split("next_item_dev"),
        "requests, unseen": dataset.split("dev"),
    }
    queries, qrels = dataset.split("dev_seen")
    some = set(hash_fraction((query.id for query in queries), SEEN_FRACTION, salt="seen"))
    asked["requests, seen"] = [query for query in queries if query.id in some], qrels
    return Ground(dataset, {name: (q, {x.id: r[x.id] for x in q}) for name, (q, r) in asked.items()})


def tune_ground(dataset: Any, plain: Any) -> Ground:
    """The same one step earlier, from the training part alone."""
    from retrograd.data.splits import hash_fraction, tune_cut, tune_histories

    histories, (asked, targets) = tune_histories(list(dataset.histories.values()))
    queries, qrels = dataset.split("train")
    plain_queries, plain_qrels = plain.split("train")
    unseen = {query.id for query in tune_cut(plain_queries)[1]}
    learnt, found = [], {"requests, unseen": [], "requests, seen": []}
    for query in queries:
        name, user, _ = query.id.rsplit("@", 2)
        last = next(iter(targets.get(user, ())), None) in qrels[query.id] and user in {*targets}
        if last and query.history:
            found["requests, unseen" if name in unseen else "requests, seen"].append(query)
        elif not last and name not in unseen:
            learnt.append(query)
    some = set(hash_fraction((query.id for query in found["requests, seen"]), SEEN_FRACTION, salt="seen"))
    found["requests, seen"] = [query for query in found["requests, seen"] if query.id in some]
    all_asked = {
        "queries, unseen": ([q for q in plain_queries if q.id in unseen], plain_qrels),
        "next item": (asked, targets),
        **{claim: (found[claim], qrels) for claim in found},
    }
    smaller = replace(
        dataset,
        histories={history.id: history for history in histories},
        qrels={"train": {query.id: qrels[query.id] for query in learnt}},
    )
    return Ground(smaller, {name: (q, {x.id: r[x.id] for x in q}) for name, (q, r) in all_asked.items()})


def variant(name: str) -> Any:
    """The recipe of a network."""
    from retrograd.recipes import recipe

    joint = recipe("search_and_recommendation")
    (stage,) = joint.stages
    items, queries, pseudo, requests = stage.examples
    kept = {
        "recommendation only": (items,),
        "search only": (queries, pseudo),
        "requests only": (requests,),
    }.get(name, stage.examples)
    share = sum(mix.weight for mix in kept) / sum(mix.weight for mix in stage.examples)
    rows = stage.samples_per_document * share
    if name == "no prompts":
        joint = replace(joint, model=replace(joint.model, task_prompts=False))
    return replace(joint, stages=(replace(stage, examples=kept, samples_per_document=rows, min_steps=1),))


def fitted(name: str, collection: str, seed: int, dataset: Any) -> Any:
    """A system, fitted once and then opened."""
    from retrograd.recipes import recipe
    from retrograd.system import System
    from retrograd.training.fit import fit

    folder = Path(FOLDER) / "systems" / f"{collection}-{name.replace(' ', '_')}-{seed}"
    if folder.exists():
        return System.load(folder)
    chosen = replace(recipe(name), tune_fraction=0.0) if name in BASELINES else variant(name)
    return fit(chosen, dataset, folder, seed=seed)


Ask = Callable[[Sequence[Any]], list[list[str]]]
"""Queries -> the items that answer each, without those of its history."""


def asker(name: str, collection: str, seed: int, dataset: Any) -> Ask:
    """How a system is asked."""
    if name == LATE:
        return both_networks(*(fitted(n, collection, seed, dataset) for n in NETWORKS[2:0:-1]))
    system = fitted("joint" if name == HYBRID else name, collection, seed, dataset)
    if name == HYBRID:
        from retrograd.search.combine import Fuse
        from retrograd.search.lexical import Lexical

        config = Fuse(parts=(system.recipe.search, Lexical()), rule="z_score", weights=(1.0, 0.5))
        system = config.build(replace(system.parts, folder=Path(tempfile.mkdtemp())))

    def ask(queries: Sequence[Any]) -> list[list[str]]:
        ranked = system.search(queries, DEPTH).documents()
        return [[item for item in ranked[q.id] if item not in q.history] for q in queries]

    def ask_texts(queries: Sequence[Any]) -> list[list[str]]:
        from retrograd.types import Query

        texts = list(dict.fromkeys(query.text for query in queries))
        ranked = system.search([Query(text, text) for text in texts], DEPTH).documents()
        return [[item for item in ranked[q.text] if item not in q.history] for q in queries]

    if name in BASELINES:
        return ask if name in ("transition_knn", "pop") else ask_texts
    return lambda queries: ask_texts(queries) if queries[0].id.startswith("alone ") else ask(queries)


def both_networks(of_texts: Any, of_histories: Any) -> Ask:
    """The sum of two log-probabilities, each network asked with what it reads."""
    import numpy as np

    from retrograd.types import Query

    def ask(queries: Sequence[Any]) -> list[list[str]]:
        ids, found = of_texts.corpus.ids, []
        for start in range(0, len(queries), 256):
            some = queries[start : start + 256]
            total = np.zeros((len(some), len(ids)))
            for system, part in (
                (of_texts, [Query(q.id, q.text) for q in some]),
                (of_histories, [Query(q.id, "", q.history) for q in some]),
            ):
                places = [at for at, q in enumerate(part) if q.text or q.history]
                asked, said = system.searcher.scores([part[at] for at in places])
                total[[places[at] for at in asked]] += said.scores
            for query, line in zip(some, total, strict=True):
                order = [ids[row] for row in np.argsort(-line, kind="stable")[:DEPTH]]
                found.append([item for item in order if item not in query.history])
        return found

    return ask


def ways(name: str, claim: str) -> tuple[str, ...]:
    """What a system is given of the requests of a claim."""
    reads = {
        "query": name in ("joint", HYBRID, "no prompts", "search only", "bm25", "dense", "click_memo"),
        "history": name in ("joint", "no prompts", "recommendation only", "transition_knn", "pop"),
        "both": name in ("joint", HYBRID, "no prompts", "requests only", LATE),
    }
    if claim.startswith("queries"):
        return ("query",) if reads["query"] else ()
    if claim == "next item":
        return ("history",) if reads["history"] else ()
    return tuple(way for way, possible in reads.items() if possible)


def run_cell(collection: str, system: str, seed: int, kind: str) -> dict[str, Any]:
    """Fit or open one system and ask it everything it reads; per query, for paired tests."""
    from retrograd.types import Query

    began = time.process_time()
    on = ground(collection)
    loaded = time.process_time()
    ask = asker(system, collection, seed, on.dataset)
    fit_seconds = time.process_time() - loaded
    found: dict[str, dict[str, dict[str, float]]] = {}
    for claim, (queries, qrels) in on.asked.items():
        for way in ways(system, claim):
            given = {
                "query": [Query(f"alone {q.id}", q.text, q.history) for q in queries],
                "history": [Query(q.id, "", q.history) for q in queries if q.history],
                "both": [q for q in queries if q.history],
            }[way]
            ranked = {q.id.removeprefix("alone "): items for q, items in zip(given, ask(given), strict=True)}
            found[f"{claim}: {way}"] = judged(ranked, qrels)
    seconds = {"fit": fit_seconds, "all": time.process_time() - began}
    return {"values": found, "cpu_seconds": seconds, "kind": kind}


def judged(ranked: Mapping[str, list[str]], qrels: Any) -> dict[str, dict[str, float]]:
    """Measure -> query -> value; a request that was not answered counts 0."""
    from retrograd.evaluation.measures import evaluate
    from retrograd.types import Hit, Ranking

    hits = tuple(tuple(Hit(item, -at) for at, item in enumerate(items)) for items in ranked.values())
    scores = evaluate(Ranking(tuple(ranked), hits), {q: qrels[q] for q in ranked}, MEASURES)
    return {m: {q: round(v, 5) for q, v in scores.per_query[m].items()} for m in MEASURES}


def cells(seeds: int) -> list[tuple[str, str, int, str]]:
    """The joint network first; what needs no training has one seed."""
    return [
        (collection, system, seed, "both")
        for collection in ("tune", "dev")
        for seed in range(seeds)
        for system in (*NETWORKS, HYBRID, LATE, *(BASELINES if seed == 0 else ()))
    ]


def table(collection: str, folder: Path, measures: Sequence[str] = MEASURES) -> str:
    """One line per system and way of asking, means over queries and seeds."""
    lines: dict[tuple[str, str], dict[str, list[float]]] = {}
    claims: dict[str, int] = {}
    for name in (*NETWORKS, HYBRID, LATE, *BASELINES):
        for path in sorted(folder.glob(f"both.{collection}.{name}.*.json")):
            for key, values in json.loads(path.read_text())["values"].items():
                claim, _, way = key.partition(": ")
                claims[claim] = max(claims.get(claim, 0), len(values[measures[0]]))
                for measure in measures:
                    mean = sum(values[measure].values()) / len(values[measure])
                    line = lines.setdefault((name, way), {})
                    line.setdefault(f"{claim} {measure}", []).append(mean)
    claims = {claim: claims[claim] for claim in CLAIMS if claim in claims}
    header = ["system", "given", *(f"{claim} ({n:,}) {m}" for claim, n in claims.items() for m in measures)]
    rows = [
        [name, way, *(_mean(line.get(f"{claim} {m}", [])) for claim in claims for m in measures)]
        for (name, way), line in lines.items()
    ]
    return markdown(header, rows)


def _mean(values: list[float]) -> str:
    return f"{sum(values) / len(values):.4f}" if values else "-"


def difference(folder: Path, one: tuple[str, str], two: tuple[str, str], claim: str, measure: str) -> str:
    """(system, way) less another on `dev`, seed 0; requests of one query are resampled together."""
    import numpy as np

    from retrograd.evaluation.significance import bootstrap_interval

    values = [
        json.loads(path_of(folder, ("dev", name, 0, "both")).read_text())["values"][f"{claim}: {way}"][
            measure
        ]
        for name, way in (one, two)
    ]
    shared = sorted(values[0].keys() & values[1].keys())
    gaps = np.array([values[0][q] - values[1][q] for q in shared])
    groups = [q.partition("@")[0] for q in shared]
    found = bootstrap_interval(gaps, groups=groups)
    return f"{found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"


PAIRS: tuple[tuple[tuple[str, str], tuple[str, str], str, str], ...] = (
    (("joint", "query"), ("search only", "query"), "queries, unseen", "nDCG@10"),
    (("joint", "query"), ("bm25", "query"), "queries, unseen", "nDCG@10"),
    (("joint", "query"), ("dense", "query"), "queries, unseen", "nDCG@10"),
    (("joint", "query"), ("search only", "query"), "queries, seen", "nDCG@10"),
    (("joint", "query"), ("click_memo", "query"), "queries, seen", "nDCG@10"),
    (("joint", "history"), ("recommendation only", "history"), "next item", "R@10"),
    (("joint", "history"), ("transition_knn", "history"), "next item", "R@10"),
    *(
        (("joint", "both"), other, f"requests, {seen}", "nDCG@10")
        for seen in ("unseen", "seen")
        for other in (
            ("joint", "query"),
            ("joint", "history"),
            ("requests only", "both"),
            (LATE, "both"),
            ("no prompts", "both"),
        )
    ),
)


def lines_of(pairs: Iterable[Any], folder: Path) -> str:
    """The differences that are there."""
    rows = []
    for one, two, claim, measure in pairs:
        if all(path_of(folder, ("dev", name, 0, "both")).exists() for name, _ in (one, two)):
            names = [f"{name} ({way})" for name, way in (one, two)]
            rows.append([*names, f"{claim}, {measure}", difference(folder, one, two, claim, measure)])
    return markdown(["system", "less", "on", "difference, 95 %"], rows)


def main() -> None:
    """`run` and `cell` as every grid, and `table`."""
    if sys.argv[1:2] == ["table"]:
        folder = Path(FOLDER)
        print("\n\n".join([table("tune", folder), table("dev", folder), lines_of(PAIRS, folder)]))
        return
    command_line(__file__, __doc__ or "", FOLDER, cells, run_cell)


if __name__ == "__main__":
    main()
