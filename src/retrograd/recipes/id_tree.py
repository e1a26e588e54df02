"""Recommenders that walk down a tree of ids made of what people took together."""

from __future__ import annotations

from dataclasses import replace

from retrograd.data.sequences import EveryPrefix
from retrograd.docids.quantised import Quantised
from retrograd.models.id_tree import IdTreeTransformer
from retrograd.models.text_encoder import MiniLM
from retrograd.recipe import Mix, Recipe, Stage
from retrograd.recipes.recommendation import sasrec
from retrograd.search.counting import TransitionKNN
from retrograd.search.experts import ProductOfExperts
from retrograd.search.id_tree import IdTreeScores
from retrograd.training.objectives import IdTreeLikelihood


def generative_next_item() -> Recipe:
    """An id is a cluster of items taken together and a place in it; a small transformer writes both."""
    return Recipe(
        name="generative_next_item",
        summary="writes the id of the next item: a cluster of what is taken together, then an item of it",
        docids=Quantised(encoder=MiniLM(), of="histories", quantizer="residual", levels=1, codes=128),
        model=IdTreeTransformer(dropout=0.4, reads_text=True),
        stages=(
            Stage(
                name="sequences",
                objective=IdTreeLikelihood(),
                examples=(Mix(source=EveryPrefix()),),
                samples_per_document=1.3,  # rows of 64 items: with 11 interactions per item some 8 epochs
                batch_size=16,
                learning_rate=0.01,
                validate_every=125,
                measure="R@10",
            ),
        ),
        search=IdTreeScores(),
        cites=("morin2005hierarchical", "levy2014neural", "kang2018sasrec"),
        tune_fraction=0.1,
    )


def generative_next_item_counts() -> Recipe:
    """The same, each item weighed by how often it followed the last ones."""
    return with_counts(generative_next_item())


def sasrec_counts() -> Recipe:
    """What the same counts do for the transformer over items: the control."""
    return with_counts(sasrec())


def with_counts(parent: Recipe) -> Recipe:
    """A recommender with the transitions of `transition_knn` as a prior."""
    return replace(
        parent,
        name=f"{parent.name}_counts",
        summary=f"{parent.name} with counts of what followed what as a prior",
        search=ProductOfExperts(experts=(parent.search, TransitionKNN())),
        cites=(*parent.cites, "ludewig2018evaluation", "hinton2002experts"),
    )
