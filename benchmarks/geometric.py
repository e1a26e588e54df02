"""The grid behind the differentiable index's tables: ablations, long runs, and every rival.

    python benchmarks/geometric.py run --kinds ablation --budget-minutes 120 --workers 2   # resumable
    python benchmarks/geometric_report.py ablation --commit ...                            # its tables

`ablation`: gradient path x weight sharing x cosine, scale apart from normalisation, all under one
budget of steps (about 3 minutes of one core). `long`: four of the cells three times as long, on
scifact's whole train part too. `systems`: the named recipes. `folds`: the closest of them on all of
scifact's train part, each fifth held back in turn, because dev is small. `budget`: generated identifiers
with the processor time of `dgi_plus`; at full length they cost up to ten times that. Weights are the
last of each run; dev is only for these tables.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from grid import Collection, command_line, judged

COLLECTIONS = {
    "amazon_beauty_search": Collection(
        "train", {"product search dev": ("dev",), "product search dev_seen": ("dev_seen",)}
    ),
    "scifact": Collection("train_clean", {"scifact dev": ("dev",)}),
    "scifact_all": Collection("train", {"scifact dev, all of train": ("dev",)}, folder="scifact"),
    "cranfield": Collection("train_clean", {"cranfield dev+test": ("dev", "test")}),
    "apibench": Collection(
        "train", {"apibench dev_seen": ("dev_seen",), "apibench dev_unseen": ("dev_unseen",)}
    ),
}
GRADIENTS = ("gumbel", "ste", "detached")
SWITCHES = tuple(
    f"{gradient}{sharing}{cosine}"
    for gradient, sharing, cosine in product(GRADIENTS, ("", ", own heads"), ("", ", dot"))
)
APART = ("gumbel, dot with scale", "gumbel, cosine without scale", "gumbel, no skip")
LONG = ("gumbel", "gumbel, dot", "detached", "ste, own heads, dot")
STEPS = {"ablation": 1500, "long": 4500}
"""Optimiser steps of 128 rows."""


def switched(name: str) -> Any:
    """The recipe of an ablation cell, by the words of its name."""
    from retrograd.quantizers.soft_residual import Scoring
    from retrograd.recipes.dgi import dgi

    words = name.split(", ")
    scoring = {
        "dot": Scoring(cosine=False, scale="none"),
        "dot with scale": Scoring(cosine=False),
        "cosine without scale": Scoring(scale="none"),
    }.get(words[-1], Scoring())
    recipe = dgi()
    quantizer = replace(recipe.model.quantizer, gradient=words[0], scoring=scoring)
    model = replace(
        recipe.model,
        quantizer=quantizer,
        scoring=scoring,
        heads="fresh" if "own heads" in words else "tied",
        skip="none" if "no skip" in words else "remaining",
    )
    return replace(recipe, model=model)


def of_length(recipe: Any, steps: int) -> Any:
    """The recipe with exactly so many steps in its one stage."""
    (stage,) = recipe.stages
    return replace(recipe, stages=(replace(stage, min_steps=steps, max_steps=steps),))


WHOLE = ("as it comes", "exhaustive cosine")
"""Ways whose lists are 100 long; the others are judged at 10, so that their cost is that of 10."""


WIDTHS = (2, 5, 10, 20)
LED, EVERY_ID = ", BM25 ahead", "every id"


def ways(fitted: Any, kind: str) -> dict[str, Any]:
    """How a fitted system is asked: as its recipe says, and by id systems with vectors in other ways too."""
    from retrograd.search.geometric import GeometricBeam
    from retrograd.search.nearest import Nearest

    own = {"as it comes": fitted.recipe.search} | joined(fitted.recipe)
    if kind == "budget":
        return own | guided(fitted.recipe.search)
    if not hasattr(fitted.model, "document_codes"):
        return own
    ahead = GeometricBeam(width=20, rank="cosine", look_ahead="centroid")
    beam = beam_of(fitted.recipe.search)
    if beam is not None and beam.planner is not None:
        own["alone"] = replace(beam, planner=None)
        own["beam, no memory"] = beam
        own["decoder ignored"] = replace(beam, decoder_weight=0.0)
        own["beam 5"] = replace(beam, width=5)
        own["beam 5, decoder ignored"] = replace(beam, width=5, decoder_weight=0.0)
    return own | {
        "cosine at the leaves": GeometricBeam(width=20, rank="cosine"),
        "look-ahead": ahead,
        "look-ahead, decoder ignored": replace(ahead, decoder_weight=0.0),
        "exhaustive cosine": Nearest(),
    }


def guided(search: Any) -> dict[str, Any]:
    """Narrow beams over identifiers, alone and led by BM25, and the score of every identifier."""
    from retrograd.search.generative import Beam, ScoreAll
    from retrograd.search.lexical import Lexical

    if not isinstance(search, Beam):
        return {}
    alone = replace(search, planner=None, widen=False)
    beams = {f"beam {width}": replace(alone, width=width) for width in WIDTHS}
    led = {f"{name}{LED}": replace(beam, planner=Lexical()) for name, beam in beams.items()}
    return {EVERY_ID: ScoreAll()} | beams | led


def joined(recipe: Any) -> dict[str, Any]:
    """The same fitted parts with BM25 beside them, as the hybrid recipes join them: no second training."""
    from retrograd.recipes import RECIPES

    hybrids = {
        "dgi_plus": {"with BM25": "dgi_plus_hybrid"},
        "dual_encoder": {"with BM25": "hybrid_dual_encoder", "with BM25, ranks": "hybrid_rrf_dual_encoder"},
    }
    return {way: RECIPES[name]().search for way, name in hybrids.get(recipe.name, {}).items()}


def beam_of(search: Any) -> Any:
    """The geometric beam inside a search config, or None."""
    from retrograd.search.geometric import GeometricBeam

    while search is not None and not isinstance(search, GeometricBeam):
        search = getattr(search, "then", None)
    return search


FOLDS = 5
FOLDED = ("dgi_plus", "dual_encoder", "dual_encoder_long", "dual_encoder_lexical", "bm25", "hybrid")
"""Who is compared on the parts of train held back in turn; the seed of such a cell is its part."""

HELD_BACK = "scifact train, a fifth held back in turn"

SYSTEMS: tuple[str, ...] = (
    "bm25",
    "bm25_expanded",
    "dense",
    "hybrid",
    "click_memo",
    "dgi_plus",
    "dual_encoder",
    "dual_encoder_long",
    "dual_encoder_distilled",
    "dgi",
    "two_stage",
    "two_stage_dot",
    "unisearch_like",
    "generative",
    "dsi_qg",
)
"""What the claims rest on stands first."""

UNTRAINED = ("bm25", "bm25_expanded", "dense", "hybrid", "click_memo")


def named(system: str) -> Any:
    """A recipe, or a control: `_long` trains the dual encoder as hard as the space of `dgi_plus`.

    None of them picks weights by a tune part, so all of them learn from the whole of train.
    """
    from retrograd.recipes import RECIPES

    recipe = replace(RECIPES[system.removesuffix("_long")](), tune_fraction=0.0)
    if not system.endswith("_long"):
        return recipe
    (stage,) = recipe.stages
    examples = tuple(replace(mix, weight=1.0) for mix in stage.examples)
    longer = replace(stage, examples=examples, min_steps=2500, max_steps=2500, learning_rate=3e-4)
    return replace(recipe, stages=(longer,))


BUDGETED = ("dgi_plus", "dsi_qg", "generative")
BUDGET_STEPS = {"amazon_beauty_search": 3500, "scifact": 2400, "cranfield": 1050, "apibench": 800}
"""Steps of a generator that cost what one fit of `dgi_plus` does on the collection."""


def cells(seeds: int) -> list[tuple[str, str, int, str]]:
    """(collection, system, seed, kind): whole seeds first, so that a cut grid is still a fair one."""
    both = ("amazon_beauty_search", "scifact")
    ablation = [
        (collection, name, seed, "ablation")
        for seed in range(seeds)
        for name in (*SWITCHES, *APART)
        for collection in both
    ]
    long = [
        (collection, name, seed, "long")
        for seed in range(seeds)
        for name in LONG
        for collection in (*both, "scifact_all")
    ]
    systems = [
        (collection, name, seed, "systems")
        for seed in range(seeds)
        for name in SYSTEMS
        for collection in COLLECTIONS
        if collection != "scifact_all" and (seed == 0 or name not in UNTRAINED)
    ]
    folds = [("scifact", name, fold, "folds") for fold in range(FOLDS) for name in FOLDED]
    budget = [
        (collection, name, seed, "budget")
        for seed in range(seeds)
        for name in (*(UNTRAINED[:1] if seed == 0 else ()), *BUDGETED)
        for collection in BUDGET_STEPS
    ]
    return ablation + systems + long + folds + budget


def folded(dataset: Any, split: str, fold: int) -> Any:
    """The dataset with two splits: `held`, one part of `split`, and `rest`; they share no document."""
    from retrograd.data.splits import disjoint_folds

    parts = disjoint_folds(dataset.qrels[split], FOLDS, salt="folds")
    rest = {query: grades for at, part in enumerate(parts) if at != fold for query, grades in part.items()}
    return replace(dataset, qrels={"held": parts[fold], "rest": rest})


def run_cell(collection: str, system: str, seed: int, kind: str) -> dict[str, Any]:
    """Fit and measure one cell; everything a table may want, per query."""
    import torch

    torch.set_num_threads(1)
    from retrograd.data.dataset import load_dataset
    from retrograd.docids.report import describe_table
    from retrograd.evaluation.measures import evaluate
    from retrograd.training.fit import fit

    plan = COLLECTIONS[collection]
    dataset = load_dataset(Path(os.environ["RETROGRAD_DATA"]) / (plan.folder or collection))
    recipe = of_length(switched(system), STEPS[kind]) if kind in STEPS else named(system)
    if kind == "budget" and system in BUDGETED[1:]:
        recipe = of_length(recipe, BUDGET_STEPS[collection])
    if kind == "folds":
        dataset, seed = folded(dataset, "train", seed), 0
        plan = Collection("rest", {HELD_BACK: ("held",)})
    started, cpu = time.monotonic(), time.process_time()
    fitted = fit(recipe, dataset, train_split=plan.train, seed=seed)
    result: dict[str, Any] = {
        "seconds": time.monotonic() - started,
        "cpu_seconds": time.process_time() - cpu,
        "stages": fitted.manifest["stages"],
        "docids": [] if fitted.table is None else describe_table(fitted.table).lines(),
        "keys": 0 if fitted.table is None else len(fitted.table),
        "claims": {},
    }
    for way, config in ways(fitted, kind).items():
        searcher = config.build(fitted.parts)
        for claim, splits in plan.claims.items():
            if way.startswith("look-ahead") and claim.endswith("dev_seen"):
                continue
            queries, qrels = judged(dataset, splits)
            ranking = searcher.search(queries, 100 if way in WHOLE else 10)
            scores = evaluate(ranking, qrels, measures=("nDCG@10", "R@10", "R@100", "Success@10"))
            result["claims"].setdefault(claim, {})[way] = {
                "mean": scores.mean,
                "per_query": scores.per_query,
                "vectors_scored": getattr(searcher, "vectors_scored_per_query", None),
                "top": {query: found[:10] for query, found in ranking.documents().items()},
            }
    return result


if __name__ == "__main__":
    command_line(__file__, __doc__, "build/geometric", cells, run_cell)
