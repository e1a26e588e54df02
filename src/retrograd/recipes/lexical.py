"""Term matching: the baselines every learned index is shown beside."""

from __future__ import annotations

from dataclasses import replace

from retrograd.data.examples import PseudoQueries
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


def bm25_expanded() -> Recipe:
    """BM25 on documents followed by ten generated queries each (Nogueira et al., 2019).

    A sequence-to-sequence generator (Nogueira and Lin, 2019) goes into `search.expansion.generator`.
    """
    return replace(
        bm25(),
        name="bm25_expanded",
        summary="BM25 over documents with ten pseudo-queries appended to each",
        search=Lexical(expansion=PseudoQueries(per_document=10)),
        cites=("robertson2009bm25", "nogueira2019doc2query", "nogueira2019doctttttquery"),
    )
