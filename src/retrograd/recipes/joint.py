"""Systems that learn ids and their generation together by other means than soft codes."""

from __future__ import annotations

from dataclasses import replace

from retrograd.quantizers.learned_tokens import LearnedTokens
from retrograd.recipe import Recipe
from retrograd.recipes.dgi import dgi
from retrograd.training.objectives.indexing import JointIndexing


def unisearch_like() -> Recipe:
    """Our reading of UniSearch's joint pre-training, without its preference stage, in the frame of `dgi`.

    The fixed tables of codes start as clusters: drawn at random they collapsed (measured: 35 keys for
    1,400 documents after 200 steps, 985 with clusters).
    """
    parent = dgi()
    objective = JointIndexing(contrast="parts", reconstruction=0.0, diversity=0.0, restart=True)
    return replace(
        parent,
        name="unisearch_like",
        summary="dgi with learnt tokens, straight-through codes and a residual contrast instead",
        model=replace(parent.model, quantizer=LearnedTokens()),
        stages=(replace(parent.stages[0], objective=objective),),
        cites=("chen2025unisearch", "zhu2024simvq"),
    )
