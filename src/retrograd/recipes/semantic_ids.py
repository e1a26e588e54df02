"""Recommenders that write the id of the next item token by token; ids are codes of what items say.

Rajput et al., "Recommender Systems with Generative Retrieval", 2023 (arXiv 2305.05065).
"""

from __future__ import annotations

from dataclasses import replace

from retrograd.data.sequences import EveryPrefix
from retrograd.docids.quantised import Quantised
from retrograd.models.code_sequences import CodeTransformer
from retrograd.models.code_translation import CodeTranslator
from retrograd.models.text_encoder import MiniLM
from retrograd.quantizers.autoencoder import ResidualAutoencoder
from retrograd.quantizers.residual import ResidualKMeans
from retrograd.recipe import Mix, Recipe, Stage
from retrograd.search.code_sequences import CodeSequenceScores
from retrograd.training.objectives import NextCodeLikelihood


def tiger() -> Recipe:
    """The idea at the size of a processor: a decoder alone, packed histories, residual k-means codes."""
    return Recipe(
        name="tiger",
        summary="writes the semantic id of the next item: residual codes of its text, token by token",
        docids=Quantised(
            encoder=MiniLM(),
            metadata=("brand", "categories"),
            quantizer="residual",
            levels=3,
            codes=256,
            fitting=ResidualKMeans(balance=True),
        ),
        model=CodeTransformer(),
        stages=(
            Stage(
                name="codes",
                objective=NextCodeLikelihood(),
                examples=(Mix(source=EveryPrefix(length=20)),),
                samples_per_document=4.0,  # rows of 64 items: with 11 interactions per item some 24 epochs
                batch_size=8,
                learning_rate=2e-3,
                validate_every=1000,
                measure="R@10",
            ),
        ),
        search=CodeSequenceScores(width=50),
        cites=("rajput2023tiger", "caron2020swav", "reimers2019sbert", "wang2020minilm"),
        tune_fraction=0.1,
    )


def tiger_published() -> Recipe:
    """The published sizes: codes of an autoencoder, encoder and decoder of four layers each.

    MiniLM stands for Sentence-T5, a cosine for its inverse square root, and there is no token for the user.
    """
    parent = tiger()
    assert isinstance(parent.docids, Quantised)
    stage = replace(
        parent.stages[0], batch_size=4, samples_per_document=17.0, max_steps=200_000, decay="cosine"
    )
    return replace(
        parent,
        name="tiger_published",
        summary="the same with an autoencoder's codes, and an encoder that reads every beginning anew",
        docids=replace(
            parent.docids, quantizer="residual_autoencoder", fitting=ResidualAutoencoder(epochs=500)
        ),
        model=CodeTranslator(),
        stages=(stage,),
        cites=(*parent.cites, "zeghidour2021soundstream"),
    )
