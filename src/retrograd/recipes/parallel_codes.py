"""Recommenders that say all codes of the next item in one step.

Hou et al., "Generating Long Semantic IDs in Parallel for Recommendation", 2025 (arXiv 2506.05781).
"""

from __future__ import annotations

from retrograd.data.sequences import EveryPrefix
from retrograd.docids.quantised import Quantised
from retrograd.models.parallel_codes import ParallelCodeTransformer
from retrograd.models.text_encoder import MiniLM
from retrograd.quantizers import OptimisedProduct
from retrograd.recipe import Mix, Recipe, Stage
from retrograd.search.parallel_codes import ParallelCodeScores
from retrograd.training.objectives import ParallelCodeLikelihood


def rpg_like() -> Recipe:
    """Sixteen unordered codes of an item's text, a head for each; MiniLM stands for a larger encoder."""
    return Recipe(
        name="rpg_like",
        summary="says the 16 codes of the next item's text at once, one head each",
        docids=Quantised(
            encoder=MiniLM(),
            metadata=("brand", "categories"),
            quantizer="product",
            fitting=OptimisedProduct(),
            levels=16,
            codes=256,
            collisions="expand",
        ),
        model=ParallelCodeTransformer(temperature=0.07),
        stages=(
            Stage(
                name="sequences",
                objective=ParallelCodeLikelihood(),
                examples=(Mix(source=EveryPrefix()),),
                samples_per_document=8.0,  # rows of 64 items: with 11 interactions per item some 45 epochs
                batch_size=16,
                learning_rate=0.003,
                validate_every=500,
                measure="R@10",
            ),
        ),
        search=ParallelCodeScores(),
        cites=("hou2025rpg", "ge2013opq", "wang2020minilm"),
        tune_fraction=0.1,
    )
