"""One system for search, recommendation and search for somebody: one network, one catalogue of ids.

A vector that names the task, as the prompts of Zhao et al., "Unifying Search and Recommendation: A Generative
Paradigm Inspired by Information Theory", 2025 (arXiv 2504.06714); ids are generated, as they are not there.
"""

from __future__ import annotations

from retrograd.data.examples import PseudoQueries, TrainQueries
from retrograd.data.request_rows import NextItemRequests, PersonalRequests, TextRequests
from retrograd.docids.atomic import Atomic
from retrograd.models.request_transformer import RequestTransformer
from retrograd.recipe import Mix, Recipe, Stage
from retrograd.search.requests import RequestScores
from retrograd.training.objectives import SampledNextItem


def search_and_recommendation() -> Recipe:
    """One id per item, whose vector is learnt beside a map of its text; asked with a text, a history or both.

    Ids of one token are learnt soonest by a softmax over drawn items (measured); longer ones need
    `IdTreeLikelihood`.
    """
    return Recipe(
        name="search_and_recommendation",
        summary="one network for texts, histories and both (fit it with --requests and --interactions)",
        docids=Atomic(),
        model=RequestTransformer(dropout=0.3, width=128, heads=4),
        stages=(
            Stage(
                name="requests",
                objective=SampledNextItem(negatives=1024, power=0.5),
                examples=(
                    Mix(source=NextItemRequests(), weight=3.0),
                    Mix(source=TextRequests(source=TrainQueries())),
                    Mix(source=TextRequests(source=PseudoQueries(per_document=12)), weight=3.0),
                    Mix(source=PersonalRequests(), weight=3.0),
                ),
                samples_per_document=1.0,  # rows of 128 tokens
                batch_size=16,
                learning_rate=5e-3,
            ),
        ),
        search=RequestScores(),
        cites=("zhao2025gensr", "yi2019sampling", "kang2018sasrec"),
        tune_fraction=0.0,
    )
