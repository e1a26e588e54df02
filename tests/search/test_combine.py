"""Fusion and reranking: the sums are the formulas', ties keep corpus order, bad settings are named."""

import numpy as np
import pytest

from retrograd.search.combine import (
    Fuse,
    FusedSearcher,
    Rerank,
    RerankedSearcher,
    reciprocal_ranks,
    z_scores,
)
from retrograd.search.lexical import Lexical
from retrograd.search.parts import Parts
from retrograd.types import Corpus, Document, Hit, Query, Ranking

ROW_OF = {name: row for row, name in enumerate("abcdef")}


class Fixed:
    """Gives the same hits to every query, and remembers how many it was asked for."""

    def __init__(self, *hits: Hit) -> None:
        self.hits = hits

    def search(self, queries, k):
        self.asked = k
        return Ranking(tuple(query.id for query in queries), (self.hits[:k],) * len(queries))


class ByTable:
    """Scores documents from a table."""

    def __init__(self, **scores: float) -> None:
        self.scores = scores

    def score(self, queries, candidates):
        return [np.array([self.scores[id] for id in ids]) for ids in candidates]


def hits_of(searcher, k=10):
    return [(hit.document, hit.score) for hit in searcher.search([Query("q", "text")], k).hits[0]]


ONE = Fixed(Hit("c", 9.0), Hit("a", 8.0), Hit("b", 1.0))
TWO = Fixed(Hit("b", 0.5), Hit("d", 0.1))


def test_reciprocal_ranks_add_up_by_weight():
    fuse = Fuse(parts=(ONE, TWO), weights=(1.0, 2.0), constant=10)
    expected = [("b", 1 / 13 + 2 / 11), ("d", 2 / 12), ("c", 1 / 11), ("a", 1 / 12)]
    assert hits_of(FusedSearcher([ONE, TWO], ROW_OF, fuse)) == [
        (name, pytest.approx(s)) for name, s in expected
    ]


def test_z_scores_are_the_formula_and_the_missing_stand_last():
    one = z_scores(ONE.hits)
    scores = np.array([9.0, 8.0, 1.0])
    assert list(one.scores.values()) == pytest.approx(((scores - scores.mean()) / scores.std()).tolist())
    assert one.missing == min(one.scores.values())
    fused = dict(hits_of(FusedSearcher([ONE, TWO], ROW_OF, Fuse(parts=(ONE, TWO), rule="z_score"))))
    assert fused["b"] == pytest.approx(one.scores["b"] + 1.0)
    assert fused["d"] == pytest.approx(one.missing - 1.0)


@pytest.mark.parametrize("hits", [(Hit("a", 2.0),), (Hit("a", 2.0), Hit("b", 2.0))])
def test_where_all_scores_are_equal_being_found_still_counts(hits):
    said = z_scores(hits)
    assert set(said.scores.values()) == {0.0}
    assert said.missing == -1.0


@pytest.mark.parametrize("rule", [reciprocal_ranks, z_scores])
def test_an_empty_list_says_nothing(rule):
    said = rule((), 60.0)
    assert (dict(said.scores), said.missing) == ({}, 0.0)


@pytest.mark.parametrize("rule", ["reciprocal_rank", "z_score"])
def test_equal_sums_come_in_corpus_order(rule):
    one, two = Fixed(Hit("e", 2.0), Hit("b", 1.0)), Fixed(Hit("b", 2.0), Hit("e", 1.0))
    fused = hits_of(FusedSearcher([one, two], ROW_OF, Fuse(parts=(one, two), rule=rule)))
    assert [name for name, _ in fused] == ["b", "e"]


def test_each_searcher_is_asked_for_depth_or_k_where_that_is_more():
    searcher = FusedSearcher([ONE], ROW_OF, Fuse(parts=(ONE,), depth=5))
    for k, asked in ((2, 5), (9, 9)):
        hits_of(searcher, k)
        assert ONE.asked == asked


def test_a_generated_path_survives_fusion_in_either_order():
    plain, generated = Fixed(Hit("a", 1.0)), Fixed(Hit("a", 2.0, (4, 2), (-0.1, -0.2)))
    for both in ([plain, generated], [generated, plain]):
        (hit,) = FusedSearcher(both, ROW_OF, Fuse(parts=tuple(both))).search([Query("q", "")], 1).hits[0]
        assert (hit.path, hit.step_scores) == ((4, 2), (-0.1, -0.2))


def test_reranking_orders_the_candidates_by_the_scorer_and_adds_none():
    searcher = RerankedSearcher(ONE, ByTable(a=1.0, b=3.0, c=1.0, d=9.0), ROW_OF, depth=3)
    assert hits_of(searcher) == [("b", 3.0), ("a", 1.0), ("c", 1.0)]
    assert hits_of(searcher, 1) == [("b", 3.0)]


def test_candidates_beyond_the_depth_are_not_scored():
    searcher = RerankedSearcher(ONE, ByTable(a=1.0, c=0.0), ROW_OF, depth=2)
    assert hits_of(searcher, 1) == [("a", 1.0)]


def test_a_searcher_that_cannot_score_is_refused(tmp_path):
    parts = Parts(corpus=Corpus([Document("a", "wing")]), folder=tmp_path)
    with pytest.raises(TypeError, match="Lexical cannot score given documents"):
        Rerank(first=Lexical(), by=Lexical()).build(parts)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"rule": "sum"}, "reciprocal_rank, z_score"),
        ({"weights": (1.0,)}, "1 weights for 2 searchers"),
        ({"parts": ()}, "0 searchers"),
        ({"depth": 0}, "depth=0"),
        ({"constant": -1.0}, "constant=-1.0"),
    ],
)
def test_impossible_settings_are_named(settings, named):
    with pytest.raises(ValueError, match=named):
        Fuse(**{"parts": (Lexical(), Lexical())} | settings)
    with pytest.raises(ValueError, match="depth=0"):
        Rerank(first=Lexical(), by=Lexical(), depth=0)
