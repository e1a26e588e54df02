"""Our own default: what measured best among generated identifiers, under no paper's name.

Residual codes (Rajput et al., 2023, arXiv 2305.05065; Zeng et al., 2023, arXiv 2311.09134) learnt from
pseudo-queries (Zhuang et al., 2022, arXiv 2206.10128), from whole documents, and from train queries.
"""

from __future__ import annotations

from dataclasses import replace

from retrograd.data.examples import DocumentText, PseudoQueries, TrainQueries
from retrograd.docids.quantised import Quantised
from retrograd.models.text_encoder import MiniLM
from retrograd.recipe import Mix, Recipe
from retrograd.recipes.dsi import dsi_qg


def generative() -> Recipe:
    """A code means the same direction under every prefix, which a small decoder learns quickest."""
    parent = dsi_qg()
    examples = (
        Mix(source=PseudoQueries(per_document=12), weight=30.0),
        Mix(source=DocumentText(words=256), weight=10.0),
        Mix(source=TrainQueries()),
    )
    return replace(
        parent,
        name="generative",
        summary="the default: generates residual codes, trained on pseudo-queries and documents",
        docids=Quantised(encoder=MiniLM(), quantizer="residual", levels=4, codes=64),
        stages=(replace(parent.stages[0], examples=examples),),
        cites=("tay2022dsi", "zhuang2022dsiqg", "rajput2023tiger", "zeng2023ripor"),
    )
