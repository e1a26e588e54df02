"""Index and retriever as one differentiable whole, and the decoupled systems it is measured against.

Wang et al., "Differentiable Geometric Indexing for End-to-End Generative Retrieval", 2026
(arXiv 2603.10409).
"""

from __future__ import annotations

from dataclasses import replace

from retrograd.data.examples import PseudoQueries, TrainQueries
from retrograd.data.requests import TrainRequests
from retrograd.docids.learned import LearnedCodes
from retrograd.models.dual_encoder import DualEncoder
from retrograd.models.geometric_index import GeometricIndex
from retrograd.models.text_encoder import MiniLM
from retrograd.quantizers.soft_residual import Scoring
from retrograd.recipe import Mix, Rate, Recipe, Stage
from retrograd.recipes.dense import dual_encoder_lexical
from retrograd.search.combine import Fuse
from retrograd.search.geometric import GeometricBeam
from retrograd.search.history import WithHistory
from retrograd.search.lexical import Lexical
from retrograd.search.query_memory import QueryMemory
from retrograd.training.objectives.guidance import GuidedIndexing
from retrograd.training.objectives.indexing import JointIndexing


def dgi() -> Recipe:
    """The paper's method with frozen MiniLM vectors under trained heads in the place of T5-large."""
    return Recipe(
        name="dgi",
        summary="differentiable residual codes, trained with the decoder that generates them",
        docids=LearnedCodes(encoder=MiniLM()),
        model=GeometricIndex(space=DualEncoder(encoder=MiniLM())),
        stages=(
            Stage(
                name="joint",
                objective=JointIndexing(),
                examples=(Mix(source=TrainQueries()), Mix(source=PseudoQueries(per_document=12))),
                samples_per_document=6,
                min_steps=500,
                batch_size=128,
                learning_rate=5e-4,
                rates=(Rate(part="space", factor=0.1), Rate(part="quantizer", factor=1.0, decays=False)),
                warmup=0.06,
            ),
        ),
        search=GeometricBeam(),
        cites=("wang2026dgi",),
    )


def dgi_requests() -> Recipe:
    """The same on requests: a query and the ten items its asker took last, as in the paper."""
    parent = dgi()
    examples = (Mix(source=TrainRequests()), Mix(source=PseudoQueries(per_document=12)))
    return replace(
        parent,
        name="dgi_requests",
        summary="dgi on a query with the history of its asker (fit it with --requests)",
        stages=(replace(parent.stages[0], examples=examples),),
        search=WithHistory(search=parent.search),
    )


def two_stage() -> Recipe:
    """Ids fixed beforehand, everything else alike: what the end-to-end gradient is worth."""
    parent = dgi()
    return replace(
        parent,
        name="two_stage",
        summary="dgi with ids fixed before training: same heads, tying, skip, steps and tie-break",
        docids=replace(parent.docids, moves=False),
        stages=(replace(parent.stages[0], objective=JointIndexing(targets="table")),),
        cites=("wang2026dgi", "rajput2023tiger"),
    )


def two_stage_dot() -> Recipe:
    """The same with dot products where `dgi` has scaled cosines, as TIGER's heads are."""
    parent = two_stage()
    dot = Scoring(cosine=False, scale="none")
    quantizer = replace(parent.model.quantizer, scoring=dot)
    return replace(
        parent,
        name="two_stage_dot",
        summary="two_stage with dot-product heads",
        model=replace(parent.model, scoring=dot, quantizer=quantizer),
    )


def dgi_plus() -> Recipe:
    """What measured best: a space that holds words too, then ids of it, then a decoder led by a teacher.

    The decoder, BM25 as planner and the cosine at the leaves share the work; queries that were judged
    before are remembered.
    """
    space = dual_encoder_lexical()
    led = (Rate(part="space", factor=0.0), Rate(part="quantizer", factor=0.0))
    guide = replace(
        space.stages[1],
        name="guide",
        objective=GuidedIndexing(routing=0.0),
        min_steps=1500,
        max_steps=1500,
        batch_size=128,
        learning_rate=1e-3,
        rates=led,
    )
    beam = GeometricBeam(leaves=80, rank="cosine", planner=Lexical())
    return replace(
        space,
        name="dgi_plus",
        summary="learned codes of a distilled space, a guided decoder, exact cosine at the leaves",
        docids=LearnedCodes(encoder=MiniLM(), codes=(256, 256)),
        model=GeometricIndex(space=space.model, heads="copied"),
        stages=(*space.stages, guide),
        search=QueryMemory(then=beam, temperature=0.02),
        cites=("wang2026dgi", *space.cites, "zeng2023ripor", "khandelwal2020knnlm"),
        tune_fraction=0.0,
    )


def dgi_plus_hybrid() -> Recipe:
    """`dgi_plus` and BM25 added up, each standardised per query."""
    parent = dgi_plus()
    return replace(
        parent,
        name="dgi_plus_hybrid",
        summary="dgi_plus joined with BM25",
        search=Fuse(parts=(parent.search, Lexical()), rule="z_score", weights=(1.0, 0.5)),
    )
