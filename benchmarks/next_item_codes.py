"""What the codes of items are like: use, collisions, and whether near items share them.

    RETROGRAD_DATA=... python benchmarks/next_item_codes.py tiger letter letter,docids.fitting.alignment=0

Fits the ids of recipes on the histories they learn from and no decoder. Neighbours are looked at in two
spaces: what is taken next (a transformer over items, learnt from the same histories) and what texts say.
Codes are counted as the quantiser gives them, before collisions are resolved.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from report import markdown

from retrograd.data.dataset import Dataset, load_dataset
from retrograd.data.splits import tune_histories
from retrograd.docids.behaviour import NextItemVectors
from retrograd.docids.inputs import DocidInputs
from retrograd.docids.quantised import Quantised
from retrograd.docids.report import FIT_ERROR
from retrograd.evaluation.diagnostics.codes import health_of_codes
from retrograd.evaluation.diagnostics.overlap import neighbour_overlap
from retrograd.quantizers import QUANTIZERS
from retrograd.recipe import Recipe, override
from retrograd.recipes import recipe
from retrograd.system import Fitted
from retrograd.training.fit import docid_inputs

HEADER = (
    "recipe",
    "variance lost",
    "codes used",
    "perplexity by level",
    "items with the codes of another",
    "behaviour: 1, 2 codes shared",
    "texts: 1, 2 codes shared",
    "by chance",
)


def inputs_of(chosen: Recipe, dataset: Dataset, seed: int) -> DocidInputs:
    """What `fit` would give the ids."""
    histories = list(dataset.histories.values())
    if chosen.tune_fraction:
        histories, _ = tune_histories(histories, chosen.tune_fraction)
    return docid_inputs(chosen, Fitted(), dataset.corpus, seed, histories=histories)


def named(text: str) -> Recipe:
    """A recipe by name, with settings behind commas; they become part of its name."""
    name, *settings = text.split(",")
    chosen = recipe(name)
    for setting in settings:
        path, _, value = setting.partition("=")
        chosen = override(chosen, path, value)
    return replace(chosen, name=text)


def line(chosen: Recipe, dataset: Dataset, seed: int) -> list[str]:
    """One row of the table."""
    scheme = chosen.docids
    assert isinstance(scheme, Quantised), "ids of codes"
    inputs = inputs_of(chosen, dataset, seed)
    assert inputs.next_item_vectors is not None, "somebody took something"
    table = scheme.assign(inputs)
    texts = inputs.vectors_of(scheme.encoder, "documents", scheme.metadata)
    codes = QUANTIZERS[scheme.quantizer].from_state(table.state).encode(texts)
    health = health_of_codes(codes, [scheme.codes] * scheme.levels)
    beside = inputs.next_item_vectors(NextItemVectors())
    behaviour, said = (neighbour_overlap(codes, vectors) for vectors in (beside, texts))
    levels = health.report.levels
    return [
        f"`{chosen.name}`",
        f"{float(np.asarray(table.state[FIT_ERROR])):.1%}",
        f"{sum(level.used for level in levels) / sum(level.size for level in levels):.1%}",
        ", ".join(f"{level.perplexity:.0f}" for level in levels),
        f"{health.collision_rate:.1%}",
        *(", ".join(f"{share:.1%}" for share in found.shared[:2]) for found in (behaviour, said)),
        ", ".join(f"{share:.2%}" for share in behaviour.by_chance[:2]),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipes", nargs="*", default=["tiger", "letter"])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RETROGRAD_DATA", "data")))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    dataset = load_dataset(given.data / "amazon_beauty")
    print(markdown(HEADER, [line(named(text), dataset, given.seed) for text in given.recipes]))


if __name__ == "__main__":
    main()
