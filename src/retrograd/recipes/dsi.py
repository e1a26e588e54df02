"""One network maps a text to the identifier of its document: atomic, naive and semantic ids.

Tay et al., "Transformer Memory as a Differentiable Search Index", 2022 (arXiv 2202.06991);
pseudo-queries instead of document text: Zhuang et al., 2022 (arXiv 2206.10128).
"""

from __future__ import annotations

from dataclasses import replace

from retrograd.data.examples import DocumentText, PseudoQueries, TrainQueries
from retrograd.docids.atomic import Atomic
from retrograd.docids.kmeans_tree import KMeansTree
from retrograd.docids.strings import RandomStrings
from retrograd.models.encoder_decoder import EncoderDecoder
from retrograd.models.text_encoder import MiniLM
from retrograd.models.vector_input import VectorInput
from retrograd.recipe import Mix, Recipe, Stage
from retrograd.search.generative import Beam, ScoreAll
from retrograd.training.objectives.sequence import SequenceLikelihood


def dsi_semantic() -> Recipe:
    """Ids from recursive k-means; document text and train queries are mapped to them."""
    return Recipe(
        name="dsi_semantic",
        summary="generates semantic ids (k-means tree), trained on document text",
        docids=KMeansTree(encoder=MiniLM()),
        model=EncoderDecoder(encoder=VectorInput(encoder=MiniLM(), width=128, noise=0.3), dropout=0.0),
        stages=(
            Stage(
                name="index",
                objective=SequenceLikelihood(),
                examples=(Mix(source=DocumentText(), weight=30.0), Mix(source=TrainQueries())),
                samples_per_document=96,
                learning_rate=3e-3,
            ),
        ),
        search=Beam(),
        cites=("tay2022dsi",),
    )


def dsi_atomic() -> Recipe:
    """One token per document: a softmax over the catalogue."""
    return replace(
        dsi_semantic(),
        name="dsi_atomic",
        summary="one output row per document, trained on document text",
        docids=Atomic(),
        search=ScoreAll(),
    )


def dsi_naive() -> Recipe:
    """Random digit strings: what generation is worth without any structure in the ids."""
    return replace(
        dsi_semantic(),
        name="dsi_naive",
        summary="generates random digit strings, trained on document text",
        docids=RandomStrings(),
    )


def dsi_qg() -> Recipe:
    """Document text is replaced by pseudo-queries, so training looks like use."""
    parent = dsi_semantic()
    examples = (Mix(source=PseudoQueries(per_document=12), weight=30.0), Mix(source=TrainQueries()))
    return replace(
        parent,
        name="dsi_qg",
        summary="generates semantic ids, trained on pseudo-queries",
        stages=(replace(parent.stages[0], examples=examples),),
        cites=("tay2022dsi", "zhuang2022dsiqg"),
    )
