"""Named systems. Each is a function that picks parts and returns a `Recipe`; nothing below imports them."""

from __future__ import annotations

from collections.abc import Callable

from retrograd.errors import InputError
from retrograd.recipe import Recipe
from retrograd.recipes import (
    dense,
    dgi,
    dsi,
    generative,
    genre,
    hybrid,
    id_tree,
    joint,
    lexical,
    memory,
    parallel_codes,
    recommendation,
    search_and_recommendation,
    semantic_ids,
    ultron,
)

RECIPES: dict[str, Callable[[], Recipe]] = {
    "bm25": lexical.bm25,
    "bm25_expanded": lexical.bm25_expanded,
    "dense": dense.dense,
    "dual_encoder": dense.dual_encoder,
    "dual_encoder_hard": dense.dual_encoder_hard,
    "dual_encoder_distilled": dense.dual_encoder_distilled,
    "dual_encoder_lexical": dense.dual_encoder_lexical,
    "hybrid": dense.hybrid,
    "hybrid_dual_encoder": hybrid.hybrid_dual_encoder,
    "hybrid_rrf_dual_encoder": hybrid.hybrid_rrf_dual_encoder,
    "click_memo": memory.click_memo,
    "generative": generative.generative,
    "dgi_plus": dgi.dgi_plus,
    "dgi_plus_hybrid": dgi.dgi_plus_hybrid,
    "dgi": dgi.dgi,
    "dgi_requests": dgi.dgi_requests,
    "two_stage": dgi.two_stage,
    "two_stage_dot": dgi.two_stage_dot,
    "unisearch_like": joint.unisearch_like,
    "dsi_atomic": dsi.dsi_atomic,
    "dsi_naive": dsi.dsi_naive,
    "dsi_semantic": dsi.dsi_semantic,
    "dsi_qg": dsi.dsi_qg,
    "ultron_pq": ultron.ultron_pq,
    "genre": genre.genre,
    "pop": recommendation.pop,
    "markov": recommendation.markov,
    "transition_knn": recommendation.transition_knn,
    "transition_knn_wide": recommendation.transition_knn_wide,
    "item_knn": recommendation.item_knn,
    "dense_next_item": recommendation.dense_next_item,
    "sasrec": recommendation.sasrec,
    "sasrec_sampled": recommendation.sasrec_sampled,
    "generative_next_item": id_tree.generative_next_item,
    "generative_next_item_counts": id_tree.generative_next_item_counts,
    "sasrec_counts": id_tree.sasrec_counts,
    "rpg_like": parallel_codes.rpg_like,
    "search_and_recommendation": search_and_recommendation.search_and_recommendation,
    "tiger": semantic_ids.tiger,
    "tiger_published": semantic_ids.tiger_published,
    "letter": semantic_ids.letter,
    "liger_like": semantic_ids.liger_like,
}
"""Every named system, in the order they are listed to people."""


def recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        InputError: there is none; the message lists those there are.

    >>> recipe("bm25").name
    'bm25'
    """
    if name not in RECIPES:
        raise InputError(f"no recipe is called {name!r}; choose one of {', '.join(RECIPES)}")
    return RECIPES[name]()
