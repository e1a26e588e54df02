"""Ties: the worst case is never better than the system's own order, and only equals change places."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.errors import InputError
from retrograd.evaluation.measures import evaluate
from retrograd.evaluation.ties import with_ties
from retrograd.types import Hit, Ranking

IDS = "abcdefgh"
scores = st.lists(st.integers(0, 2), min_size=1, max_size=8)


def ranking(values):
    ordered = sorted(zip(values, IDS, strict=False), key=lambda pair: -pair[0])
    return Ranking(("q",), (tuple(Hit(item, float(score)) for score, item in ordered),))


@given(scores, st.sampled_from(IDS), st.sampled_from(["worst", "popularity"]))
def test_only_equals_change_places_and_what_is_relevant_goes_behind_them(values, target, rule):
    own, qrels = ranking(values), {"q": {target: 1}}
    (hits,) = with_ties(own, qrels, rule, 100, {"a": 3.0, "b": 2.0}).hits
    assert [hit.score for hit in hits] == [hit.score for hit in own.hits[0]]
    assert set(hits) == set(own.hits[0])
    equals = [hit.document for hit in hits if {hit.score} == {h.score for h in hits if h.document == target}]
    if rule == "worst" and equals:
        assert equals[-1] == target


@given(scores, st.sampled_from(IDS), st.integers(1, 8))
def test_the_worst_case_is_not_better(values, target, depth):
    own, qrels = ranking(values), {"q": {target: 1}}
    name = f"nDCG@{depth}"
    worst = evaluate(with_ties(own, qrels, "worst", 100), qrels, [name]).mean[name]
    assert worst <= evaluate(own, qrels, [name]).mean[name]


def test_popularity_goes_before_the_worst_case():
    own, qrels = ranking([1, 1, 1]), {"q": {"b": 1}}
    assert with_ties(own, qrels, "popularity", 9, {"b": 5, "c": 9}).documents()["q"] == ["c", "b", "a"]
    assert with_ties(own, qrels, "popularity", 9, {"b": 5, "c": 5}).documents()["q"] == ["c", "b", "a"]


def test_where_the_list_was_cut_among_equals_the_worst_is_taken():
    own, qrels = ranking([1, 1, 1]), {"q": {"b": 1}}
    assert with_ties(own, qrels, "popularity", 3, {"b": 99}).documents()["q"] == ["a", "c", "b"]


def test_a_rule_that_cannot_be_followed_is_named():
    with pytest.raises(InputError, match="choose one of as_ranked, worst, popularity"):
        with_ties(ranking([1]), {}, "best", 5)
    with pytest.raises(InputError, match="nobody counted"):
        with_ties(ranking([1]), {}, "popularity", 5)
    assert with_ties(ranking([1]), {}, "as_ranked", 5) == ranking([1])
