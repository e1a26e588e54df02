"""Product-quantised ids learnt in three stages: general, search-like, search.

Zhou et al., "Ultron: An Ultimate Retriever on Corpus with a Model-based Indexer", 2022
(arXiv 2208.09257).
"""

from __future__ import annotations

from dataclasses import replace

from retrograd.data.examples import DocumentText, PseudoQueries, TermBag, Titles, TrainQueries
from retrograd.docids.quantised import Quantised
from retrograd.models.text_encoder import MiniLM
from retrograd.recipe import Mix, Recipe
from retrograd.recipes.dsi import dsi_semantic


def ultron_pq() -> Recipe:
    """Each stage starts from the last: passages, terms and titles; pseudo-queries; real queries."""
    parent = dsi_semantic()
    stage = parent.stages[0]
    general = (Mix(source=DocumentText(chunks=4)), Mix(source=TermBag()), Mix(source=Titles()))
    queries = Mix(source=PseudoQueries(per_document=12))
    real = (Mix(source=TrainQueries()), Mix(source=queries.source, weight=10.0))
    return replace(
        parent,
        name="ultron_pq",
        summary="generates product-quantised ids, trained in three stages",
        docids=Quantised(encoder=MiniLM(), quantizer="product"),
        stages=(
            replace(stage, name="general", examples=general, samples_per_document=32),
            replace(stage, name="search", examples=(queries,), samples_per_document=48),
            replace(stage, name="finetune", examples=real, samples_per_document=16, learning_rate=1e-3),
        ),
        cites=("zhou2022ultron",),
    )
