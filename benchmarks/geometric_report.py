"""Tables, tests and figures from the cells that `geometric.py` has finished.

    python benchmarks/geometric_report.py systems --folder build/geometric --commit ...
    python benchmarks/geometric_report.py ablation --folder build/geometric --commit ...
    python benchmarks/geometric_report.py budget --folder build/geometric --commit ...

Writes docs/results_geometric.md and two figures, docs/results_ablation.md or docs/results_budget.md, and one
compact JSON. Every
number comes from a cell file; what has no cell is "not run". The gradient figure is
`geometric_gradients.py`'s.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from geometric import (
    APART,
    BUDGET_STEPS,
    BUDGETED,
    COLLECTIONS,
    EVERY_ID,
    FOLDED,
    FOLDS,
    HELD_BACK,
    LED,
    LONG,
    STEPS,
    SWITCHES,
    SYSTEMS,
    UNTRAINED,
    WHOLE,
    WIDTHS,
)
from geometric_audit import Catalogue, audit, figures, hubness_table, hubs, popularity_table, tail_cells
from geometric_published import (
    ABLATION_CLAIMS,
    AUTHORS,
    HIT,
    PATTERN,
    pattern_table,
    published_table,
)
from report import (
    MEASURE,
    Cells,
    Results,
    adjusted,
    markdown,
    measured,
    paired,
    paired_table,
    read_files,
    scores,
    signed,
    spread,
)

from retrograd.evaluation.measures import average_seeds
from retrograd.evaluation.significance import bootstrap_interval

OWN = "as it comes"
EVERY = "exhaustive cosine"
WAYS = (
    "beam, no memory",
    "decoder ignored",
    "alone",
    "beam 5",
    "beam 5, decoder ignored",
    "look-ahead",
    "look-ahead, decoder ignored",
    "cosine at the leaves",
)
"""Ways of searching by ids, beside `as it comes`."""

JOINED = {"with BM25": "hybrid", "with BM25, ranks": "hybrid_rrf"}
"""Ways that are systems of their own: the same fit with BM25 beside it."""

JOINED_OF_FOLDED = (
    "dgi_plus_hybrid",
    "hybrid_dual_encoder",
    "hybrid_dual_encoder_long",
    "hybrid_rrf_dual_encoder",
)
"""What `JOINED` makes of the systems of the folds."""

FREE = tuple(name for name in UNTRAINED if name != "click_memo")
CATALOGUE = "amazon_beauty_search"
CLAIMED = (
    ("alone, without BM25", "dgi_plus: alone", "dual_encoder"),
    ("alone, without BM25", "dgi_plus: alone", "dual_encoder_long"),
    ("alone, without BM25", "dgi_plus: alone", "dual_encoder_distilled"),
    ("as it comes", "dgi_plus", "dual_encoder"),
    ("as it comes", "dgi_plus", "dual_encoder_long"),
    ("as it comes", "dgi_plus", "dual_encoder_distilled"),
    ("with BM25 on both sides", "dgi_plus_hybrid", "hybrid_dual_encoder"),
    ("with BM25 on both sides", "dgi_plus_hybrid", "hybrid_dual_encoder_long"),
    ("with BM25 on both sides, ranks", "dgi_plus_hybrid", "hybrid_rrf_dual_encoder"),
    ("against its own cosine", "dgi_plus: beam, no memory", f"dgi_plus: {EVERY}"),
    ("against its own cosine, without BM25", "dgi_plus: alone", f"dgi_plus: {EVERY}"),
    ("what the decoder adds, beam 20", "dgi_plus: beam, no memory", "dgi_plus: decoder ignored"),
    ("what the decoder adds, beam 5", "dgi_plus: beam 5", "dgi_plus: beam 5, decoder ignored"),
    ("what moving ids add", "dgi", "two_stage"),
    ("what cosines add", "two_stage", "two_stage_dot"),
    ("what the decoder loses", "dgi", f"dgi: {EVERY}"),
)
"""What is claimed or denied in the text, system against control."""

DRAWN = (
    "dgi_plus",
    "bm25",
    "dgi",
    "two_stage",
    "dual_encoder_long",
    "hybrid_dual_encoder_long",
    "click_memo",
)
"""Systems of the figures, those that were run; the first is the subject."""

TAIL_RIVALS = (
    *("bm25", "dense", "hybrid", "dual_encoder", "hybrid_dual_encoder_long", "two_stage"),
    *("detached", "ste"),
)
"""Whom the least popular quintiles are compared with, those that were run."""

FIGURE_CLAIM = ABLATION_CLAIMS[1]
CATALOGUE_NAME = "product search"

COLUMNS = (
    "`exhaustive cosine`: all vectors of the same system compared. `vectors scored` is counted for "
    "searches that look at vectors by way of ids; the others compare all of theirs or have none. "
    "`fit CPU s`: processor time of one fit, text vectors already in the cache."
)
KEEPS = (
    f"{MEASURE} of each way; `keeps` is its share of comparing every vector of the same system, `scores` the "
    "share of vectors (a look-ahead's node centroids included) compared per query. Beam 20; ten answers are "
    "asked for, a hundred under `as it comes`, which therefore compares more."
)
SERVED = (
    "HitRate@10 per part of the catalogue (five equal parts by popularity, head first; in brackets the "
    "times an item was taken and the queries that want one of them), 95 % bootstrap interval over "
    "queries. Popularity: rows per item in the interactions of `amazon_beauty` without each user's "
    "last. Lift: popularity of the answers over that of what was wanted. Hubness is of the first ten "
    "answers to every query of the claim."
)

HELD = (
    "`scifact` dev has 81 queries: an interval on it is wide. Here the {count} queries of its train part are "
    "dealt into {folds} parts that share no relevant document; each is judged by a system that learnt from "
    "the others. Seed 0. Settings were chosen on some of these queries: read differences, not heights."
)

BUDGET = (
    f"`{BUDGETED[0]}` beside `dsi_qg` (ids of a k-means tree) and `generative` (residual codes), which read "
    "the same vectors and write the identifier token by token. Their steps were set so that a fit takes the "
    "processor time of the first, column `fit CPU s`. Trained as long as they like (15 to 20 CPU minutes) "
    "they are in [Results](results.md)."
)

GUIDED = (
    f"{MEASURE} / R@10 of a beam alone; of the same beam when each prefix carries BM25's best document below "
    "it. The planner says which prefixes stay, the model alone orders the answers. `every id` scores all "
    "identifiers; a narrow beam that is led may stand above it, for it never meets what the model is wrong "
    f"about. Below, the difference in {MEASURE} with intervals."
)

CAPTIONS = (
    f"HitRate@10 by popularity of what is wanted, {FIGURE_CLAIM}",
    f"Documents by the number of lists they stand in, {FIGURE_CLAIM}",
)

SHARED_INTRODUCTION = """What the method is, and what these tables say, is in
[Differentiable index](differentiable_index.md). Everything but the table that says so was measured by us.
Weights are the last of each run; dev is for these tables only. HitRate@10 is the share of queries with a
relevant document among the first ten.

`scifact` and `cranfield` train on `train_clean`, whose documents no evaluation query judges, unless a
title says otherwise. `product search dev` holds queries that train never saw, `dev_seen` those that
occurred before; read `dev_seen` beside the click memo. `apibench` is resampled by API.

Means are over seeds, ± their standard deviation. Differences: seeds averaged per query, 95 % paired
bootstrap interval over queries, p of the paired randomisation test after Holm over the table.
With one seed an interval says nothing about the luck of training.
"""


def read_cells(folder: Path, kind: str) -> dict[str, dict[tuple[str, str], list[dict[str, Any]]]]:
    """Finished cells of one kind: way of asking -> (claim, system) -> one result per seed."""
    found: dict[str, dict[tuple[str, str], list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for cell in read_files(folder, kind):
        collection, system, seed, _ = cell["cell"]
        shared = {name: cell[name] for name in ("cpu_seconds", "keys")}
        shared |= {"seed": seed, "collection": collection, "documents": documents_of(cell)}
        for claim, ways in cell["claims"].items():
            for way, result in ways.items():
                at, name = (OWN, joined_name(system, way)) if way in JOINED else (way, system)
                found[at][claim, name].append(result | shared | {"long": way in WHOLE})
    return found


def joined_name(system: str, way: str) -> str:
    """The recipe that joins a system and BM25 in this way.

    >>> joined_name("dual_encoder", "with BM25, ranks"), joined_name("dgi_plus", "with BM25")
    ('hybrid_rrf_dual_encoder', 'dgi_plus_hybrid')
    """
    return f"{system}_{JOINED[way]}" if system.startswith("dgi") else f"{JOINED[way]}_{system}"


def documents_of(cell: Mapping[str, Any]) -> int:
    """Size of the corpus as the first line on the ids says it; 0 where there are no ids.

    >>> documents_of({"docids": ["12,101 documents, 9165 keys, depth 3"]})
    12101
    """
    return int(cell["docids"][0].split()[0].replace(",", "")) if cell["docids"] else 0


Ways = Mapping[str, Cells]
"""Way of asking -> cells."""


def share_of_keys(results: Results) -> str:
    """Keys per document: 1 where every document has one of its own."""
    return f"{mean(r['keys'] / r['documents'] for r in results):.2f}" if results[0]["documents"] else "-"


def share_scored(results: Results) -> str:
    """Vectors compared per query, of all."""
    counted = [r for r in results if r["vectors_scored"] is not None and r["documents"]]
    return f"{mean(r['vectors_scored'] / r['documents'] for r in counted):.1%}" if counted else "-"


def way_text(ways: Ways, way: str, key: tuple[str, str]) -> str:
    """nDCG@10 of a system asked in another way; a dash where it cannot be, or was not, so asked."""
    results = ways.get(way, {}).get(key, ())
    return spread(measured(results)) if results else "-"


def cells_table(claim: str, names: Sequence[str], ways: Ways, baseline: str) -> str:
    """Ablation cells or long runs of one claim, each against one of them."""
    own = ways.get(OWN, {})
    base = own.get((claim, baseline), ())
    tests = adjusted({name: paired(own.get((claim, name), ()), base) for name in names if name != baseline})
    rows, (found, missing) = [], of_claim(own, claim, names)
    for name, results in found.items():
        rows.append(
            [
                f"`{name}`",
                str(len(results)),
                spread(measured(results)),
                spread(measured(results, HIT)),
                "-" if name == baseline else tests[name],
                way_text(ways, "cosine at the leaves", (claim, name)),
                way_text(ways, "look-ahead", (claim, name)),
                way_text(ways, EVERY, (claim, name)),
                share_of_keys(results),
            ]
        )
    header = ["cell", "seeds", MEASURE, "HitRate@10", f"{MEASURE} less `{baseline}`"]
    header += ["cosine at the leaves", "look-ahead", "exhaustive cosine", "keys per document"]
    return with_missing(header, rows, missing)


def of_claim(own: Cells, claim: str, names: Iterable[str]) -> tuple[dict[str, Results], list[str]]:
    """Results of the systems that ran on a claim, and the names of those that did not."""
    found = {name: own.get((claim, name), ()) for name in names}
    return {name: r for name, r in found.items() if r}, [name for name, r in found.items() if not r]


def with_missing(header: Sequence[str], rows: Sequence[Sequence[str]], missing: Sequence[str]) -> str:
    """A table, and below it what was not run; nothing but `Not run.` where nothing was."""
    if not rows:
        return "Not run."
    left = f"\n\nNot run: {', '.join(f'`{name}`' for name in missing)}." if missing else ""
    return markdown(header, rows) + left


def system_names(own: Cells) -> list[str]:
    """What needs no training, what stands beside BM25 or is new, then the rest in the order of the grid."""
    others = sorted({name for _, name in own if ":" not in name} - {*SYSTEMS, *SWITCHES})
    return [*UNTRAINED, *others, *(name for name in SYSTEMS if name not in UNTRAINED)]


def systems_table(claim: str, ways: Ways) -> str:
    """Every system on one claim."""
    return table_of(claim, system_names(ways.get(OWN, {})), ways)


def table_of(claim: str, names: Sequence[str], ways: Ways) -> str:
    """Some systems on one claim, in the order given."""
    own = ways.get(OWN, {})
    rows, (found, missing) = [], of_claim(own, claim, names)
    for name, results in found.items():
        rows.append(
            [
                f"`{name}`",
                str(len(results)),
                spread(measured(results)),
                spread(measured(results, HIT)),
                spread(measured(results, "R@100")) if results[0]["long"] else "-",
                way_text(ways, EVERY, (claim, name)),
                share_scored(results),
                share_of_keys(results),
                f"{mean(r['cpu_seconds'] for r in results):.0f}",
            ]
        )
    header = ["system", "seeds", MEASURE, "HitRate@10", "R@100", "exhaustive cosine"]
    return with_missing([*header, "vectors scored", "keys per document", "fit CPU s"], rows, missing)


def strongest_free(claim: str, own: Cells) -> str:
    """The best of what needs no training, by name and figure."""
    ran = [name for name in FREE if own.get((claim, name))]
    if not ran:
        return "Strongest free baseline: not run."
    best = max(ran, key=lambda name: mean(measured(own[claim, name])))
    return f"Strongest free baseline: `{best}`, {spread(measured(own[claim, best]))} (of {', '.join(ran)})."


def named_by_way(ways: Ways) -> dict[tuple[str, str], Results]:
    """All ways in one table of cells: a system asked in another way is called `system: way`."""
    return {
        (claim, name if way == OWN else f"{name}: {way}"): results
        for way, cells in ways.items()
        for (claim, name), results in cells.items()
    }


def control_pairs(names: Iterable[str]) -> list[tuple[str, str, str]]:
    """What the decoder adds to a look-ahead, and what each search loses against comparing every vector."""
    return [
        (said, f"{name}: {ours}", f"{name}: {theirs}")
        for said, ours, theirs in (
            ("what the decoder adds", "look-ahead", "look-ahead, decoder ignored"),
            ("look-ahead against all vectors", "look-ahead", EVERY),
            ("beam and cosine against all vectors", "cosine at the leaves", EVERY),
        )
        for name in names
    ]


def search_table(names: Sequence[str], claims: Sequence[str], ways: Ways) -> str:
    """nDCG@10 of each way of asking, what that keeps of comparing all vectors, and vectors scored."""
    rows = []
    for name in names:
        for way in (OWN, *WAYS):
            texts = []
            for claim in claims:
                results = ways.get(way, {}).get((claim, name), ())
                every = ways.get(EVERY, {}).get((claim, name), ())
                if results and every:
                    kept = mean(measured(results)) / mean(measured(every))
                    texts.append(
                        f"{spread(measured(results))} (keeps {kept:.2f}, scores {share_scored(results)})"
                    )
                else:
                    texts.append("-")
            if set(texts) != {"-"}:
                rows.append([f"`{name}`", way, *texts])
    return markdown(["system", "way", *claims], rows) if rows else "Not run."


def memo_table(claim: str, names: Sequence[str], own: Cells) -> str:
    """How much of the click memo each system reaches where queries come back."""
    memo = own.get((claim, "click_memo"), ())
    if not memo:
        return "The click memo was not run."
    top = average_seeds(scores(memo)).per_query[MEASURE]
    rows = []
    for name in names:
        results = own.get((claim, name), ())
        if not results or name == "click_memo":
            continue
        ours = average_seeds(scores(results)).per_query[MEASURE]
        difference = bootstrap_interval(np.array([ours[query] - 0.9 * top[query] for query in ours]))
        share = mean(ours.values()) / mean(top.values())
        rows.append([f"`{name}`", spread(measured(results)), f"{share:.2f}", signed(difference)])
    return markdown(["system", MEASURE, "share of the memo", "less .9 of the memo"], rows)


def finished(folder: Path, kinds: Sequence[str]) -> str:
    """How many cells each kind of table rests on."""
    count: Counter[str] = Counter()
    seeds: dict[str, set[int]] = defaultdict(set)
    for kind in kinds:
        for path in folder.glob(f"{kind}.*.json"):
            count[kind] += 1
            seeds[kind].add(int(path.name.split(".")[-2]))
    parts = [f"{count[kind]} {kind} (seeds {', '.join(map(str, sorted(seeds[kind])))})" for kind in count]
    return f"Finished cells: {'; '.join(parts) or 'none'}."


def compact(kind: str, ways: Ways) -> list[dict[str, Any]]:
    """Means of every run, for the dated result file."""
    kept = ("keys", "documents", "vectors_scored")
    return [
        {"kind": kind, "claim": claim, "system": system, "way": way, "seed": r["seed"]}
        | {"cpu_seconds": round(r["cpu_seconds"], 1)}
        | {name: r[name] for name in kept}
        | {measure: round(value, 5) for measure, value in r["mean"].items()}
        for way, cells in ways.items()
        for (claim, system), results in cells.items()
        for r in results
    ]


def challengers(names: Iterable[str]) -> list[str]:
    """The systems whose case these tables are for."""
    return [name for name in names if "dgi" in name]


def drawn(cells: Cells) -> list[str]:
    """Who is in the figures: those of the systems that were run."""
    return [name for name in DRAWN if any(name == ran for _, ran in cells)]


def _place(name: str, known: Sequence[str]) -> int:
    first = name.partition(":")[0]
    return known.index(first) if first in known else -1


def audit_part(cells: Cells, catalogue: Catalogue, folder: Path | None) -> list[str]:
    """Popularity and hubness per claim; into a folder figures of the claim with the most queries."""
    text = []
    known = [*system_names(cells), *SWITCHES]
    names = sorted({name for _, name in cells}, key=lambda name: (_place(name, known), name))
    for claim in catalogue.claims:
        ran = [name for name in names if cells.get((claim, name))]
        if not ran:
            text.append(f"### {claim}\n\nNot run.")
            continue
        qrels = catalogue.judgements(claim)
        audits = {name: audit(cells[claim, name], qrels, catalogue) for name in ran}
        found = {name: hubs(cells[claim, name], catalogue) for name in ran}
        text.append(f"### {claim}\n\n{popularity_table(audits)}\n\n{hubness_table(found)}")
        shown = [name for name in drawn(cells) if name in ran]
        if folder is not None and shown and claim == FIGURE_CLAIM:
            files = figures({n: audits[n] for n in shown}, {n: found[n] for n in shown}, folder)
            text += [f"![{said}](figures/{file.name})" for said, file in zip(CAPTIONS, files, strict=True)]
    tail = tail_cells(cells, catalogue)
    pairs = [
        ("two least popular quintiles", ours, theirs)
        for ours in challengers(names) or ["gumbel"]
        for theirs in TAIL_RIVALS
        if theirs in names
    ]
    table = paired_table(pairs, list(catalogue.claims), tail, measure=HIT)
    return [*text, f"### The tail: HitRate@10 on the two least popular quintiles\n\n{table}"]


def ablation_part(ablation: Ways) -> list[str]:
    """Section of the short runs."""
    names = (*SWITCHES, *APART)
    paths = [name for name in SWITCHES if "," not in name]
    controls = paired_table(control_pairs(paths), ABLATION_CLAIMS, named_by_way(ablation))
    kept = search_table(paths, ABLATION_CLAIMS, ablation)
    return [
        f"## Ablation\n\n{STEPS['ablation']:,} steps of 128 rows each, the same examples and order.",
        *(f"### {claim}\n\n{cells_table(claim, names, ablation, 'gumbel')}" for claim in ABLATION_CLAIMS),
        f"### What each way of searching keeps\n\n{KEEPS}\n\n{kept}",
        f"### The look-ahead and its controls\n\n{MEASURE}.\n\n{controls}",
        f"### Reported by the authors, not reproduced\n\n{AUTHORS}\n\n{published_table()}",
        f"### The authors' pattern, here\n\n{PATTERN}\n\n{pattern_table(ablation.get(OWN, {}))}",
    ]


def systems_part(systems: Ways) -> list[str]:
    """Section of the named recipes."""
    own, names = systems.get(OWN, {}), system_names(systems.get(OWN, {}))
    claims = [claim for name, plan in COLLECTIONS.items() if name != "scifact_all" for claim in plan.claims]
    memo = f"{CATALOGUE_NAME} dev_seen"
    text = [f"## Systems\n\n{COLUMNS}"]
    for claim in claims:
        text.append(f"### {claim}\n\n{systems_table(claim, systems)}\n\n{strongest_free(claim, own)}")
    claimed = paired_table(CLAIMED, claims, named_by_way(systems))
    text.append(f"### What is claimed, system against control\n\n{MEASURE}.\n\n{claimed}")
    for ours in challengers(names):
        pairs = [("", ours, theirs) for theirs in names if theirs != ours]
        text.append(f"### `{ours}` against every other\n\n{MEASURE}.\n\n{paired_table(pairs, claims, own)}")
    indexed = [name for name in names if any((c, name) in systems.get(EVERY, {}) for c in claims)]
    controls = paired_table(control_pairs(indexed), claims, named_by_way(systems))
    return [
        *text,
        f"### What each way of searching keeps\n\n{KEEPS}\n\n{search_table(indexed, claims, systems)}",
        f"### The look-ahead and its controls\n\n{MEASURE}.\n\n{controls}",
        f"### Share of the click memo, {memo}\n\n{memo_table(memo, names, own)}",
    ]


def pooled(folds: Cells) -> Cells:
    """The parts of each system put together: every query once, under the system that never saw it.

    A system that lacks a part is left out.
    """
    found = {}
    for key, results in folds.items():
        if len(results) == FOLDS:
            per_query = {
                measure: {query: value for r in results for query, value in r["per_query"][measure].items()}
                for measure in results[0]["per_query"]
            }
            means = {measure: mean(values.values()) for measure, values in per_query.items()}
            found[key] = [{"per_query": per_query, "mean": means}]
    return found


def folds_part(folds: Ways) -> list[str]:
    """Section of the parts of train that were held back in turn."""
    cells = pooled(named_by_way(folds))
    ways = ("", ": alone", ": beam, no memory", ": decoder ignored", f": {EVERY}")
    names = [f"{name}{way}" for name in (*FOLDED, *JOINED_OF_FOLDED) for way in ways]
    ran = [name for name in names if (HELD_BACK, name) in cells]
    means = [cells[HELD_BACK, name][0]["mean"] for name in ran]
    rows = [
        [f"`{name}`", f"{found[MEASURE]:.3f}", f"{found[HIT]:.3f}"]
        for name, found in zip(ran, means, strict=True)
    ]
    pairs = [(said, ours, theirs) for said, ours, theirs in CLAIMED if "dgi_plus" in ours]
    tests = paired_table(pairs, [HELD_BACK], cells)
    count = len(cells[HELD_BACK, ran[0]][0]["per_query"][MEASURE]) if ran else 0
    return [
        f"## A larger part held back\n\n{HELD.format(count=count, folds=FOLDS)}",
        with_missing(["system", MEASURE, "HitRate@10"], rows, ()),
        tests,
    ]


def long_part(long: Ways) -> list[str]:
    """Section of the long runs."""
    claims = (*ABLATION_CLAIMS, *COLLECTIONS["scifact_all"].claims)
    tables = [f"### {claim}\n\n{cells_table(claim, LONG, long, LONG[0])}" for claim in claims]
    return [f"## Three times as long\n\n{STEPS['long']:,} steps.", *tables]


def ablation_page(kinds: Mapping[str, Ways], catalogue: Catalogue, folder: Path) -> list[str]:
    """The cells of the ablation, short and long, and whom they serve."""
    del folder
    own = kinds["ablation"].get(OWN, {})
    audited = {key: results for key, results in own.items() if key[1] not in APART}
    return [
        "# Ablation of the differentiable index",
        SHARED_INTRODUCTION,
        *ablation_part(kinds["ablation"]),
        *long_part(kinds["long"]),
        f"## Who is served\n\n{SERVED}",
        *audit_part(audited, catalogue, None),
    ]


def systems_page(kinds: Mapping[str, Ways], catalogue: Catalogue, folder: Path) -> list[str]:
    """The named systems, the parts of train held back in turn, and whom they serve."""
    audited = {
        key: results
        for key, results in named_by_way(kinds["systems"]).items()
        if ":" not in key[1] or key[1].endswith(f"dgi_plus: {EVERY}")
    }
    return [
        "# Results of the differentiable index",
        SHARED_INTRODUCTION,
        *systems_part(kinds["systems"]),
        *folds_part(kinds["folds"]),
        f"## Who is served\n\n{SERVED}",
        *audit_part(audited, catalogue, folder),
    ]


def guided_table(name: str, claims: Sequence[str], ways: Ways) -> str:
    """nDCG@10 and R@10 of each beam alone and led, and the paired difference in nDCG@10."""
    cells = named_by_way(ways)
    beams = [f"beam {width}" for width in WIDTHS]
    rows = [
        [
            way,
            *(
                "; ".join(_both(ways.get(way, {}).get((claim, name), ())) for way in asked)
                for claim in claims
            ),
        ]
        for way, asked in [(EVERY_ID, (EVERY_ID,)), *((beam, (beam, f"{beam}{LED}")) for beam in beams)]
    ]
    pairs = [(beam, f"{name}: {beam}{LED}", f"{name}: {beam}") for beam in beams]
    table = markdown(["beam", *claims], rows)
    return f"### `{name}`\n\n{table}\n\n{paired_table(pairs, claims, cells)}"


def _both(results: Results) -> str:
    """Both measures of one way."""
    if not results:
        return "-"
    return f"{mean(measured(results)):.3f} / {mean(measured(results, 'R@10')):.3f}"


def budget_page(kinds: Mapping[str, Ways], catalogue: Catalogue, folder: Path) -> list[str]:
    """Generated identifiers with the processor time that the learned index takes."""
    del catalogue, folder
    ways, own = kinds["budget"], kinds["budget"].get(OWN, {})
    claims = [claim for name in BUDGET_STEPS for claim in COLLECTIONS[name].claims]
    tables = [f"## {claim}\n\n{table_of(claim, (*FREE[:1], *BUDGETED), ways)}" for claim in claims]
    pairs = [("", BUDGETED[0], name) for name in (*FREE[:1], *BUDGETED[1:])]
    led = [guided_table(name, claims, ways) for name in BUDGETED[1:]]
    return [
        "# Identifiers and vectors at one budget",
        SHARED_INTRODUCTION,
        BUDGET,
        *tables,
        f"## `{BUDGETED[0]}` against each\n\n{MEASURE}.\n\n{paired_table(pairs, claims, own)}",
        f"## A narrow beam with and without a planner\n\n{GUIDED}",
        *led,
    ]


@dataclass(frozen=True)
class Page:
    """What is written where."""

    kinds: tuple[str, ...]
    out: Path
    write: Callable[[Mapping[str, Ways], Catalogue, Path], list[str]]


PAGES = {
    "ablation": Page(("ablation", "long"), Path("docs/results_ablation.md"), ablation_page),
    "systems": Page(("systems", "folds"), Path("docs/results_geometric.md"), systems_page),
    "budget": Page(("budget",), Path("docs/results_budget.md"), budget_page),
}


def main() -> None:
    """Write a page, its figures and the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("page", choices=PAGES)
    parser.add_argument("--folder", type=Path, default=Path("build/geometric"))
    parser.add_argument("--out", type=Path, help="instead of the page in docs; then no JSON is written")
    parser.add_argument("--figures", type=Path, default=Path("docs/figures"))
    parser.add_argument("--commit", required=True, help="the commit the cells were run at")
    given = parser.parse_args()
    page = PAGES[given.page]
    kinds = {kind: read_cells(given.folder, kind) for kind in page.kinds}
    files = [path for kind in page.kinds for path in given.folder.glob(f"{kind}.*.json")]
    machines = sorted({json.loads(path.read_text())["hardware"] for path in files})
    title, *text = page.write(kinds, Catalogue.read(CATALOGUE, COLLECTIONS[CATALOGUE].claims), given.figures)
    origin = (
        f"By `benchmarks/geometric_report.py {given.page}` on {date.today()}, from runs at commit "
        f"`{given.commit}`; {'; '.join(machines)}. {finished(given.folder, page.kinds)}"
    )
    (given.out or page.out).write_text(
        "\n\n".join(part.strip() for part in [title, text[0], origin, *text[1:]]) + "\n"
    )
    rows = [row for kind, ways in kinds.items() for row in compact(kind, ways)]
    result = {"commit": given.commit, "hardware": machines, "runs": rows}
    if given.out is None:
        compacted = Path(f"benchmarks/results/{date.today()}-geometric-{given.page}.json")
        compacted.write_text(json.dumps(result, indent=1) + "\n")
    print((given.out or page.out).read_text())


if __name__ == "__main__":
    main()
