"""The title is the identifier: spelled token by token, so unseen documents can be reached.

De Cao et al., "Autoregressive Entity Retrieval", 2021 (arXiv 2010.00904).
"""

from __future__ import annotations

from dataclasses import replace

from retrograd.docids.text import TitleText
from retrograd.recipe import Recipe
from retrograd.recipes.dsi import dsi_qg
from retrograd.training.objectives.sequence import SequenceLikelihood


def genre() -> Recipe:
    """Titles under a trie; documents that share a title are expanded in corpus order."""
    parent = dsi_qg()
    stage = replace(
        parent.stages[0],
        objective=SequenceLikelihood(label_smoothing=0.1),
        samples_per_document=48,
        batch_size=128,
        learning_rate=2e-3,
    )
    return replace(
        parent,
        name="genre",
        summary="generates titles, trained on pseudo-queries",
        model=replace(parent.model, prefix_dropout=0.9),
        docids=TitleText(vocab_size=2000, max_tokens=10),
        stages=(stage,),
        cites=("decao2021genre",),
    )
