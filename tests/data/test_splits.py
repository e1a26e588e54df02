"""Splits: parts are disjoint, complete and do not depend on what else there is."""

import pytest
from hypothesis import given as random_cases
from hypothesis import strategies as st

from retrograd.data.interactions import Interactions
from retrograd.data.splits import (
    disjoint_folds,
    given,
    hash_fraction,
    leave_one_out,
    temporal,
    tune_cut,
    tune_histories,
)
from retrograd.errors import InputError
from retrograd.types import History, Query

ids = st.lists(st.text(), unique=True)
fractions = st.floats(0, 1)


@random_cases(ids, ids, fractions)
def test_an_id_falls_into_its_part_whatever_else_there_is(
    one: list[str], two: list[str], fraction: float
) -> None:
    chosen = set(hash_fraction([*one, *two], fraction))
    assert chosen == {*hash_fraction(one, fraction), *hash_fraction(two, fraction)}


@random_cases(ids, fractions, fractions)
def test_a_smaller_part_lies_inside_a_larger_one(ids: list[str], one: float, two: float) -> None:
    smaller, larger = sorted((one, two))
    assert set(hash_fraction(ids, smaller)) <= set(hash_fraction(ids, larger))


def test_a_part_has_about_its_size_and_another_salt_gives_another_part() -> None:
    ids = [str(number) for number in range(10_000)]
    one, two = (set(hash_fraction(ids, 0.1, salt)) for salt in "ab")
    assert 900 < len(one) < 1100
    assert 50 < len(one & two) < 150


def test_a_fraction_outside_its_range_is_refused() -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        hash_fraction(["a"], 1.5)


@random_cases(ids, fractions)
def test_a_tune_cut_loses_nothing_and_shares_nothing(ids: list[str], fraction: float) -> None:
    queries = [Query(value, "") for value in ids]
    train, tune = tune_cut(queries, fraction)
    assert sorted([*train, *tune], key=queries.index) == queries
    assert not set(train) & set(tune)


@random_cases(st.lists(st.lists(st.sampled_from("abc"), min_size=1)))
def test_leaving_one_out_and_putting_it_back_changes_nothing(lists: list[list[str]]) -> None:
    histories = [History(str(at), tuple(items)) for at, items in enumerate(lists)]
    shortened, targets = leave_one_out(histories)
    assert [History(h.id, (*h.items, *targets.get(h.id, ()))) for h in shortened] == histories


times = st.lists(
    st.tuples(st.sampled_from("uv"), st.sampled_from("ab"), st.floats(0, 9), st.just(1.0)), min_size=1
)


@random_cases(times, st.floats(0.05, 0.95))
def test_no_past_reaches_beyond_the_cut(rows: list[tuple[str, str, float, float]], fraction: float) -> None:
    past, future = temporal(Interactions.from_rows(rows), fraction)
    size = sum(len(history.items) for history in past)
    in_order = sorted(rows, key=lambda row: row[2])
    assert size == 0 or size == len(rows) or in_order[size - 1][2] < in_order[size][2]
    assert size <= len(rows) * (1 - fraction)
    assert future.keys() <= {history.id for history in past}


def test_a_given_split_must_say_a_part_for_each_id() -> None:
    with pytest.raises(InputError, match="id 'b' is in no part"):
        given(["a", "b"], {"a": "train"})


judgements = st.dictionaries(
    st.text("pqrstuv", min_size=1, max_size=2),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 2), max_size=3),
)


@random_cases(judgements, st.integers(2, 5))
def test_folds_hold_every_query_once_and_share_no_relevant_document(
    qrels: dict[str, dict[str, int]], count: int
) -> None:
    folds = disjoint_folds(qrels, count)
    assert len(folds) == count
    assert sorted(query for fold in folds for query in fold) == sorted(qrels)
    relevant = [{doc for grades in fold.values() for doc, grade in grades.items() if grade} for fold in folds]
    assert sum(map(len, relevant)) == len(set().union(*relevant))


def test_folds_of_unrelated_queries_are_equal_in_size() -> None:
    folds = disjoint_folds({str(query): {str(query): 1} for query in range(103)}, 5)
    assert sorted(map(len, folds)) == [20, 20, 21, 21, 21]


def test_one_fold_is_no_fold() -> None:
    with pytest.raises(InputError, match="at least 2"):
        disjoint_folds({}, 1)


@random_cases(st.lists(st.lists(st.sampled_from("abc"), min_size=1)), fractions)
def test_a_tune_part_of_histories_is_put_back_without_loss(lists: list[list[str]], fraction: float) -> None:
    histories = [History(str(at), tuple(items)) for at, items in enumerate(lists)]
    left, (asked, targets) = tune_histories(histories, fraction)
    assert [History(h.id, (*h.items, *targets.get(h.id, ()))) for h in left] == histories
    assert {query.id for query in asked} == set(targets)
    assert all(query.history == by.items for query in asked for by in left if by.id == query.id)
