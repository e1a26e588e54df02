"""Hubness counts lists as they are, and known constructions have the figures arithmetic gives them."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from retrograd.errors import InputError
from retrograd.evaluation.diagnostics.hubness import (
    gini,
    hubness,
    nearest_rows,
    occurrences_in,
    occurrences_of_rows,
    skewness,
)
from retrograd.types import Hit, Ranking

counts = arrays(np.int64, st.integers(1, 30), elements=st.integers(0, 50))


def test_one_hub_that_answers_everything_has_the_skewness_of_a_single_point():
    queries, n = 8, 5
    found = hubness(occurrences_of_rows(np.zeros((queries, 1), int), n), k=1, num_lists=queries)
    # one document at N = 8, four at 0: a Bernoulli(1/n) scaled by 8, whose skewness ignores the scale
    p = 1 / n
    assert found.skewness == pytest.approx((1 - 2 * p) / sqrt(p * (1 - p)))
    assert found.never == 4 / 5
    assert found.gini == pytest.approx(4 / 5)
    assert found.largest == queries


def test_lists_that_share_the_documents_out_have_no_hub():
    rows = np.arange(12).reshape(4, 3)
    found = hubness(occurrences_of_rows(rows, 12), k=3, num_lists=4)
    assert (found.skewness, found.never, found.gini, found.largest) == (0, 0, 0, 1)


def test_random_lists_show_what_is_said_of_random_lists():
    rng = np.random.default_rng(0)
    rows = np.stack([rng.choice(400, 10, replace=False) for _ in range(200)])
    found = hubness(occurrences_of_rows(rows, 400), k=10, num_lists=200)
    assert found.never == pytest.approx(found.random_never, abs=0.02)
    assert found.skewness == pytest.approx(found.random_skewness, abs=0.25)


def test_a_query_at_the_centre_of_a_crowd_makes_a_hub_of_the_mean():
    rng = np.random.default_rng(1)
    documents = np.vstack([np.zeros(64), rng.standard_normal((300, 64))])
    distances = -((documents[None] - documents[1:, None]) ** 2).sum(axis=2)
    rows = np.argsort(-distances, axis=1)[:, 1:6]
    found = hubness(occurrences_of_rows(rows, 301), k=5, num_lists=300)
    assert found.counts.argmax() == 0
    assert found.skewness > 5 * found.random_skewness


def test_a_ranking_is_counted_as_its_rows_are_and_short_lists_are_no_fault():
    ranking = Ranking(("q", "r", "s"), ((Hit("b", 2.0), Hit("a", 1.0)), (Hit("b", 1.0),), ()))
    assert occurrences_in(ranking, ["a", "b", "c"], 2).tolist() == [1, 2, 0]
    assert occurrences_in(ranking, ["a", "b", "c"], 1).tolist() == [0, 2, 0]
    assert occurrences_of_rows(np.array([[1, 0], [1, -1], [-1, -1]]), 3).tolist() == [1, 2, 0]


def test_an_answer_outside_the_corpus_is_named():
    with pytest.raises(InputError, match="'x', which is not in the corpus"):
        occurrences_in(Ranking(("q",), ((Hit("x", 0.0),),)), ["a"], 3)


@pytest.mark.parametrize(("documents", "lists"), [(0, 3), (3, 0)])
def test_nothing_to_count_is_refused(documents, lists):
    with pytest.raises(InputError, match="needs a document and a list"):
        hubness(np.zeros(documents, int), k=1, num_lists=lists)


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_exact_search_equals_a_full_sort_ties_by_row(seed, k):
    rng = np.random.default_rng(seed)
    documents = rng.integers(-1, 2, (9, 3))  # few values: many ties
    queries = rng.integers(-1, 2, (5, 3))
    wanted = np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, : min(k, 9)]
    assert np.array_equal(nearest_rows(queries, documents, k), wanted)


@given(counts, st.integers(1, 5))
def test_gini_is_a_share_and_ignores_scale_and_order(values, scale):
    found = gini(values)
    assert -1e-12 <= found <= 1 - 1 / len(values) + 1e-12
    assert gini(scale * values[::-1]) == pytest.approx(found)


@given(counts)
def test_skewness_changes_sign_when_the_values_do(values):
    assert skewness(-values) == pytest.approx(-skewness(values), abs=1e-6)
