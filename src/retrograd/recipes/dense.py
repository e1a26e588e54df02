"""Vectors and nearest neighbours: frozen, trained, trained on own mistakes, and fused with terms."""

from __future__ import annotations

from dataclasses import replace

from retrograd.data.examples import MinedNegatives, PseudoQueries, TrainQueries
from retrograd.data.teacher_lists import TeacherLists
from retrograd.models.dual_encoder import DualEncoder, FrozenVectors
from retrograd.models.lexical_channel import LexicalChannel
from retrograd.models.text_encoder import MiniLM
from retrograd.recipe import Mix, Recipe, Stage
from retrograd.search.combine import Fuse
from retrograd.search.lexical import Lexical
from retrograd.search.nearest import Nearest
from retrograd.training.objectives.contrastive import InBatchContrastive
from retrograd.training.objectives.distillation import ListwiseDistillation


def dense() -> Recipe:
    """all-MiniLM-L6-v2 as it comes, exact inner product (Reimers and Gurevych, 2019)."""
    return Recipe(
        name="dense",
        summary="frozen MiniLM vectors, exact nearest neighbours",
        model=FrozenVectors(encoder=MiniLM()),
        search=Nearest(),
        cites=("reimers2019sbert", "wang2020minilm"),
    )


def dual_encoder() -> Recipe:
    """Trained heads over MiniLM, in-batch softmax (Karpukhin et al., 2020, equation 2)."""
    return Recipe(
        name="dual_encoder",
        summary="query and document heads trained on the collection's own queries",
        model=DualEncoder(encoder=MiniLM()),
        stages=(
            Stage(
                name="contrastive",
                objective=InBatchContrastive(),
                examples=(Mix(source=TrainQueries()), Mix(source=PseudoQueries(per_document=12), weight=5.0)),
                samples_per_document=32,
                batch_size=256,
                learning_rate=1e-4,
            ),
        ),
        search=Nearest(),
        cites=("karpukhin2020dpr",),
    )


def dual_encoder_hard() -> Recipe:
    """A second round on negatives the first round ranked high (Xiong et al., 2021)."""
    first = dual_encoder()
    second = replace(
        first.stages[0], name="hard", examples=(Mix(source=MinedNegatives()), first.stages[0].examples[1])
    )
    return replace(
        first,
        name="dual_encoder_hard",
        summary="dual_encoder, then a round on its own hard negatives",
        stages=(first.stages[0], second),
        cites=("karpukhin2020dpr", "xiong2021ance"),
    )


def _teacher(source: TrainQueries | PseudoQueries, most: int) -> TeacherLists:
    """Lists of the first stage's vectors joined with BM25, each standardised per text."""
    joined = Fuse(parts=(Nearest(), Lexical()), rule="z_score", weights=(1.0, 0.5))
    return TeacherLists(source=source, teacher=joined, depth=60, most=most)


def distillation_stage() -> Stage:
    """A second stage on the lists of the first one's vectors and BM25, labels mixed in."""
    return Stage(
        name="distillation",
        objective=ListwiseDistillation(temperature=2.0),
        examples=(
            Mix(source=_teacher(TrainQueries(), most=0), by_size=1.0),
            Mix(source=_teacher(PseudoQueries(per_document=12), most=24_000), by_size=1.0),
        ),
        samples_per_document=8,
        min_steps=600,
        max_steps=2000,
        batch_size=96,
        learning_rate=3e-4,
    )


def dual_encoder_distilled() -> Recipe:
    """BM25's view of any text moved into the vectors (Hinton et al., 2015; Ren et al., 2021, equation 7)."""
    first = dual_encoder()
    return replace(
        first,
        name="dual_encoder_distilled",
        summary="dual_encoder, then the rankings of its vectors and BM25 together",
        stages=(first.stages[0], distillation_stage()),
        cites=("karpukhin2020dpr", "robertson2009bm25", "hinton2015distillation", "ren2021rocketqav2"),
    )


def dual_encoder_lexical() -> Recipe:
    """The same with a vector for each word of both sides: no term index is asked when it searches."""
    parent = dual_encoder_distilled()
    return replace(
        parent,
        name="dual_encoder_lexical",
        summary="dual_encoder_distilled with word vectors beside those of the texts",
        model=DualEncoder(encoder=MiniLM(), lexical=LexicalChannel(sides="both")),
        stages=(parent.stages[0], replace(parent.stages[1], learning_rate=2e-3)),
    )


def hybrid() -> Recipe:
    """BM25 and frozen vectors joined by reciprocal rank (Cormack et al., 2009)."""
    return replace(
        dense(),
        name="hybrid",
        summary="BM25 and MiniLM joined by reciprocal rank",
        search=Fuse(parts=(Lexical(), Nearest())),
        cites=("robertson2009bm25", "reimers2019sbert", "cormack2009rrf"),
    )
