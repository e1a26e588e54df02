"""Recommenders that need no training: the baselines every learned one is shown beside.

All are asked with a history. Equal scores are ordered by place in the collection unless `search.ties`
says otherwise; nothing of the history is answered.
"""

from __future__ import annotations

from dataclasses import replace

from retrograd.data.sequences import EveryPrefix
from retrograd.models.dual_encoder import FrozenVectors
from retrograd.models.sequential import ItemTransformer
from retrograd.models.text_encoder import MiniLM
from retrograd.recipe import Mix, Recipe, Stage
from retrograd.search.counting import ItemKNN, Popular, TransitionKNN
from retrograd.search.nearest_to_history import NearestToHistory
from retrograd.search.sequential import SequenceModelScores
from retrograd.training.objectives import NextItemLikelihood, SampledNextItem


def pop() -> Recipe:
    """What was taken most often, the same for everybody."""
    return Recipe(name="pop", summary="the most taken items, whoever asks", search=Popular())


def markov() -> Recipe:
    """What most often followed the last item: a first-order chain of counts."""
    return replace(
        transition_knn(),
        name="markov",
        summary="what most often came right after the last item",
        search=TransitionKNN(window=1, items=1, decay=1.0),
    )


def transition_knn() -> Recipe:
    """What followed the last three items within five places, nearer and later counting more."""
    return Recipe(
        name="transition_knn",
        summary="what followed the last 3 items within 5 places, by counting",
        search=TransitionKNN(window=5, items=3, decay=0.5),
        cites=("ludewig2018evaluation",),
    )


def transition_knn_wide() -> Recipe:
    """The same over ten places and five items, half counting backwards as well."""
    return replace(
        transition_knn(),
        name="transition_knn_wide",
        summary="what stood within 10 places of the last 5 items, before counting half",
        search=TransitionKNN(window=10, backward=0.5, items=5, decay=0.6),
    )


def item_knn() -> Recipe:
    """Items taken by the same users, cosine, the history weighed by age (Deshpande and Karypis, 2004)."""
    return Recipe(
        name="item_knn",
        summary="items taken by the same users as those of the history",
        search=ItemKNN(decay=0.5),
        cites=("sarwar2001itembased", "deshpande2004topn"),
    )


def dense_next_item() -> Recipe:
    """MiniLM vectors of the last ten items, averaged with decay; finds items nobody took yet."""
    return Recipe(
        name="dense_next_item",
        summary="items whose texts are nearest to those of the history",
        model=FrozenVectors(encoder=MiniLM()),
        search=NearestToHistory(),
        cites=("reimers2019sbert", "wang2020minilm"),
    )


def sasrec() -> Recipe:
    """A causal transformer over items, softmax over all at every position (Kang and McAuley, 2018)."""
    return Recipe(
        name="sasrec",
        summary="a causal transformer over the items taken, full softmax over all items",
        model=ItemTransformer(dropout=0.4),
        stages=(
            Stage(
                name="sequences",
                objective=NextItemLikelihood(),
                examples=(Mix(source=EveryPrefix()),),
                samples_per_document=2.7,  # rows of 64 items: with 11 interactions per item some 16 epochs
                batch_size=16,
                learning_rate=0.01,
                validate_every=250,
                measure="R@10",
            ),
        ),
        search=SequenceModelScores(),
        cites=("kang2018sasrec", "klenitskiy2023dross"),
        tune_fraction=0.1,
    )


def sasrec_sampled() -> Recipe:
    """The same with 1,024 negatives drawn per batch in the place of all items: for large collections."""
    parent = sasrec()
    objective = SampledNextItem(negatives=1024, power=0.5)
    return replace(
        parent,
        name="sasrec_sampled",
        summary="a causal transformer over the items taken, softmax over drawn items",
        stages=(replace(parent.stages[0], objective=objective, samples_per_document=3.4),),
        cites=(*parent.cites, "yi2019sampling"),
    )
