"""Recommenders that write the id of the next item token by token; ids are codes of what items say.

Rajput et al., "Recommender Systems with Generative Retrieval", 2023 (arXiv 2305.05065).
"""

from __future__ import annotations

from dataclasses import replace

from retrograd.data.sequences import EveryPrefix
from retrograd.docids.behaviour import NextItemVectors
from retrograd.docids.quantised import Quantised
from retrograd.models.code_and_text import TextCodeTransformer
from retrograd.models.code_sequences import CodeTransformer
from retrograd.models.code_translation import CodeTranslator
from retrograd.models.text_encoder import MiniLM
from retrograd.quantizers.autoencoder import ResidualAutoencoder
from retrograd.quantizers.residual import ResidualKMeans
from retrograd.recipe import Mix, Recipe, Stage
from retrograd.search.code_sequences import CodeSequenceScores
from retrograd.search.generate_and_rank import GenerateAndRank
from retrograd.training.objectives import NextCodeLikelihood, NextCodesAndVector


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
                samples_per_document=2.0,  # rows of 64 items: with 11 interactions per item some 12 epochs
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


def letter() -> Recipe:
    """Codes that follow what is taken together as well: aligned with vectors learnt from histories, spread.

    MiniLM stands for a language model's vectors, and the decoder is that of `tiger`.
    """
    parent = tiger()
    assert isinstance(parent.docids, Quantised)
    fitting = ResidualAutoencoder(
        hidden=(256, 128), epochs=80, batch_size=256, balance=True, alignment=20.0, diversity=0.1
    )
    docids = replace(
        parent.docids,
        quantizer="residual_autoencoder",
        fitting=fitting,
        companions=NextItemVectors(),
        levels=4,
        collisions="reassign",
    )
    objective = NextCodeLikelihood(temperature=0.8)
    return replace(
        parent,
        name="letter",
        summary="the same with codes that follow behaviour too, and hard wrong codes weighing more",
        docids=docids,
        stages=(replace(parent.stages[0], objective=objective),),
        cites=("wang2024letter", *parent.cites, "zeghidour2021soundstream", "kang2018sasrec"),
    )


def liger_like() -> Recipe:
    """Codes find and vectors rank, two heads on one state; items that nobody took are always candidates."""
    parent = tiger()
    return replace(
        parent,
        name="liger_like",
        summary="writes semantic ids, adds items nobody took, and ranks both by vectors of their texts",
        model=TextCodeTransformer(),
        stages=(replace(parent.stages[0], objective=NextCodesAndVector()),),
        search=GenerateAndRank(),
        cites=("yang2024liger", *parent.cites),
    )
