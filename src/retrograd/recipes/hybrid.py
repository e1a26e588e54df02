"""Terms and trained vectors in one ranking: the two-index systems a learned index has to beat."""

from __future__ import annotations

from dataclasses import replace

from retrograd.recipe import Recipe
from retrograd.recipes.dense import dual_encoder
from retrograd.search.combine import Fuse
from retrograd.search.lexical import Lexical
from retrograd.search.nearest import Nearest


def hybrid_dual_encoder() -> Recipe:
    """BM25 and the trained dual encoder, standardised per query and summed (Montague and Aslam, 2001)."""
    return replace(
        dual_encoder(),
        name="hybrid_dual_encoder",
        summary="BM25 and dual_encoder joined by standardised scores",
        search=Fuse(parts=(Lexical(), Nearest()), rule="z_score"),
        cites=("robertson2009bm25", "karpukhin2020dpr", "montague2001normalization"),
    )


def hybrid_rrf_dual_encoder() -> Recipe:
    """BM25 and the trained dual encoder joined by reciprocal rank (Cormack et al., 2009)."""
    return replace(
        dual_encoder(),
        name="hybrid_rrf_dual_encoder",
        summary="BM25 and dual_encoder joined by reciprocal rank",
        search=Fuse(parts=(Lexical(), Nearest())),
        cites=("robertson2009bm25", "karpukhin2020dpr", "cormack2009rrf"),
    )
