"""Term matching: the baseline every learned index is shown beside."""

from __future__ import annotations

from retrograd.recipe import Recipe
from retrograd.search.lexical import Lexical


def bm25() -> Recipe:
    """BM25 on title and text, stemmed, k1=1.2 and b=.75 (Robertson and Zaragoza, 2009)."""
    return Recipe(
        name="bm25",
        summary="term matching, no training; add and delete at once",
        search=Lexical(),
        cites=("robertson2009bm25",),
    )
