"""Measures equal hand arithmetic and ir-measures, and only the order of a ranking counts."""

from math import log2

import ir_measures
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.errors import InputError
from retrograd.evaluation.measures import EXAMPLES, Scores, average_seeds, check_measure, evaluate
from retrograd.types import Hit, Ranking

DOCUMENTS = [f"d{number}" for number in range(8)]

rankings = st.dictionaries(st.sampled_from("abcd"), st.lists(st.sampled_from(DOCUMENTS), unique=True))
judgements = st.dictionaries(
    st.sampled_from("abcd"), st.dictionaries(st.sampled_from(DOCUMENTS), st.integers(0, 3), min_size=1)
)


def ranking_of(documents: dict[str, list[str]], score: float = 0.0) -> Ranking:
    hits = tuple(tuple(Hit(document, score) for document in found) for found in documents.values())
    return Ranking(tuple(documents), hits)


def test_measures_equal_hand_arithmetic():
    ranking = ranking_of({"q": ["x", "a", "b"]})
    scores = evaluate(ranking, {"q": {"a": 1, "b": 2, "c": 1}}, ["nDCG@10", "R@2", "RR@10", "P@1", "AP"])
    ideal = 2 + 1 / log2(3) + 1 / log2(4)
    assert scores.mean == pytest.approx(
        {
            "nDCG@10": (1 / log2(3) + 2 / log2(4)) / ideal,
            "R@2": 1 / 3,
            "RR@10": 1 / 2,
            "P@1": 0.0,
            "AP": (1 / 2 + 2 / 3) / 3,
        }
    )


@given(rankings, judgements)
@settings(max_examples=60)
def test_values_are_those_of_ir_measures_and_missing_answers_count_as_zero(documents, qrels):
    names = ["nDCG@3", "R@5", "RR@10", "P@1", "Success@2", "AP", "P(rel=2)@3"]
    if not qrels or qrels.keys().isdisjoint(documents):
        return
    scores = evaluate(ranking_of(documents), qrels, names)
    run = {q: {d: 100.0 - place for place, d in enumerate(found)} for q, found in documents.items() if found}
    parsed = [ir_measures.parse_measure(name) for name in names]
    expected = {name: dict.fromkeys(qrels, 0.0) for name in names}
    for metric in ir_measures.iter_calc(parsed, qrels, run) if run else ():
        expected[names[parsed.index(metric.measure)]][metric.query_id] = metric.value
    assert scores.per_query == expected
    for name in names:
        assert scores.mean[name] == pytest.approx(sum(expected[name].values()) / len(qrels))


@given(st.permutations(DOCUMENTS), st.sampled_from([0.0, float("-inf"), -1e300]))
def test_scores_and_their_ties_change_nothing(order, score):
    qrels = {"q": {"d3": 1, "d5": 2}}
    tied = evaluate(ranking_of({"q": order}, score), qrels, ["nDCG@10", "RR"])
    strict = Ranking(("q",), (tuple(Hit(d, -float(place)) for place, d in enumerate(order)),))
    assert tied.per_query == evaluate(strict, qrels, ["nDCG@10", "RR"]).per_query
    assert tied.mean["RR"] == 1 / (1 + min(order.index("d3"), order.index("d5")))


def test_a_measure_under_two_names_or_named_twice_has_one_value():
    scores = evaluate(ranking_of({"q": ["a", "b"]}), {"q": {"b": 1}}, ["P@2", "P(rel=1)@2", "P@2"])
    assert scores.mean == {"P@2": 0.5, "P(rel=1)@2": 0.5}


def test_queries_without_judgements_are_ignored_and_judged_ones_without_relevant_documents_count():
    ranking = ranking_of({"q": ["a"], "unjudged": ["a"]})
    assert evaluate(ranking, {"q": {"a": 1}, "none": {"a": 0}, "empty": {}}, ["P@1"]).per_query == {
        "P@1": {"q": 1.0, "none": 0.0, "empty": 0.0}
    }


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_in_the_error_is_a_measure(name):
    value = evaluate(ranking_of({"q": ["a", "b"]}), {"q": {"a": 2, "b": 0}}, [name]).mean[name]
    assert 0 <= value <= 1


@pytest.mark.parametrize(
    "name",
    ["", "ndcg@10", "nDCG@0", "nDCG@-1", "Success@0", "nDCG@x", "R", "R@1.5", "foo", "P@10;R@5", "ERR@20"],
)
def test_an_unknown_measure_is_refused_with_examples(name):
    with pytest.raises(InputError, match=r"nDCG@10.*R@100"):
        check_measure(name)


@pytest.mark.parametrize(
    ("documents", "qrels", "measures", "reason"),
    [
        ({"q": ["a"]}, {}, ["P@1"], "no query"),
        ({"q": ["a"]}, {"other": {"a": 1}}, ["P@1"], "same data"),
        ({"q": ["a", "a"]}, {"q": {"a": 1}}, ["P@1"], "twice"),
        ({"q": ["a"]}, {"q": {"a": 1}}, [], "no measure"),
    ],
)
def test_what_cannot_be_measured_is_refused(documents, qrels, measures, reason):
    with pytest.raises(InputError, match=reason):
        evaluate(ranking_of(documents), qrels, measures)


def test_seeds_are_averaged_query_by_query():
    runs = [Scores({"P@1": {"a": 1.0, "b": 0.0}}), Scores({"P@1": {"b": 1.0, "a": 1.0}})]
    assert average_seeds(runs).per_query == {"P@1": {"a": 1.0, "b": 0.5}}
    assert average_seeds(runs[:1]).per_query == runs[0].per_query


@pytest.mark.parametrize("other", [{"P@1": {"a": 1.0}}, {"R@1": {"a": 1.0, "b": 1.0}}])
def test_seeds_measured_differently_are_not_averaged(other):
    with pytest.raises(InputError, match="differ"):
        average_seeds([Scores({"P@1": {"a": 1.0, "b": 0.0}}), Scores(other)])
    with pytest.raises(InputError, match="no run"):
        average_seeds([])
