"""Fusion and reranking: the sums are the formulas', ties keep corpus order, bad settings are named."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.search.combine import (
    RULES,
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


def said_of(rule, hits, depth=100):
    scores, rows = Ranking(("q",), (tuple(hits),)).rows(ROW_OF, depth)
    return rule(scores, rows >= 0, 60.0)


ONE = Fixed(Hit("c", 9.0), Hit("a", 8.0), Hit("b", 1.0))
TWO = Fixed(Hit("b", 0.5), Hit("d", 0.1))


def test_reciprocal_ranks_add_up_by_weight():
    fuse = Fuse(parts=(ONE, TWO), weights=(1.0, 2.0), constant=10)
    expected = [("b", 1 / 13 + 2 / 11), ("d", 2 / 12), ("c", 1 / 11), ("a", 1 / 12)]
    assert hits_of(FusedSearcher([ONE, TWO], ROW_OF, fuse)) == [
        (name, pytest.approx(s)) for name, s in expected
    ]


def test_z_scores_are_the_formula_and_the_missing_stand_last():
    one = said_of(z_scores, ONE.hits, 3)
    scores = np.array([9.0, 8.0, 1.0])
    expected = (scores - scores.mean()) / scores.std()
    assert one.scores[0].tolist() == pytest.approx(expected.tolist())
    assert one.missing.tolist() == [min(one.scores[0])]
    fused = dict(hits_of(FusedSearcher([ONE, TWO], ROW_OF, Fuse(parts=(ONE, TWO), rule="z_score"))))
    assert fused["b"] == pytest.approx(expected[2] + 1.0)
    assert fused["d"] == pytest.approx(expected[2] - 1.0)


@pytest.mark.parametrize("hits", [(Hit("a", 2.0),), (Hit("a", 2.0), Hit("b", 2.0))])
def test_where_all_scores_are_equal_being_found_still_counts(hits):
    said = said_of(z_scores, hits, len(hits))
    assert set(said.scores[0]) == {0.0}
    assert said.missing.tolist() == [-1.0]


@pytest.mark.parametrize("rule", [reciprocal_ranks, z_scores])
def test_an_empty_list_says_nothing_and_padding_is_not_looked_at(rule):
    scores, found = np.array([[2.0, 1.0, -np.inf], [np.nan] * 3]), np.array([[1, 1, 0], [0, 0, 0]], bool)
    said = rule(scores, found, 60.0)
    alone = rule(scores[:1, :2], found[:1, :2], 60.0)
    assert said.scores[0, :2].tolist() == alone.scores[0].tolist()
    assert said.missing.tolist() == [*alone.missing, 0.0]


LISTS = st.dictionaries(st.sampled_from(sorted(ROW_OF)), st.integers(-3, 3), max_size=6)


@given(st.lists(LISTS, min_size=1, max_size=3), st.sampled_from(list(RULES)), st.integers(1, 8))
def test_matrices_hold_the_same_ranking_which_is_the_plain_sum(tables, rule, k):
    weights = (1.0, 0.5, 2.0)[: len(tables)]
    searchers = [
        Fixed(*(Hit(name, score) for name, score in sorted(table.items(), key=lambda kv: (-kv[1], kv[0]))))
        for table in tables
    ]
    fused = FusedSearcher(searchers, ROW_OF, Fuse(parts=tuple(searchers), rule=rule, weights=weights))
    expected = {name: 0.0 for table in tables for name in table}
    for searcher, weight in zip(searchers, weights, strict=True):
        said = said_of(RULES[rule], searcher.hits)
        own = {hit.document: score for hit, score in zip(searcher.hits, said.scores[0], strict=False)}
        for name in expected:
            expected[name] += weight * own.get(name, said.missing[0])
    best = sorted(expected.items(), key=lambda item: (-item[1], item[0]))[:k]
    assert hits_of(fused, k) == best
    scores, rows = fused.search_rows([Query("q", "text")], k)
    assert rows.shape == scores.shape == (1, k)
    assert [
        (sorted(ROW_OF)[row], score) for row, score in zip(rows[0], scores[0], strict=True) if row >= 0
    ] == best


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
