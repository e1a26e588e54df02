"""Slices of a recommender: every user and every target is in one, and the table shows them all."""

import pytest

from retrograd.errors import InputError
from retrograd.evaluation.next_item_slices import (
    COLD,
    POPULARITY,
    by_label,
    sliced_table,
    slices_of_targets,
    slices_of_users,
)
from retrograd.types import Hit, Ranking

VALUES = {"u": 1.0, "v": 0.0, "w": 0.5}


def test_a_mean_is_over_the_users_of_the_slice():
    found = by_label(VALUES, {"u": "a", "v": "a", "w": "b", "x": "b"})
    assert {label: (count, interval.mean) for label, (count, interval) in found.items()} == {
        "a": (2, 0.5),
        "b": (1, 0.5),
    }


def test_slices_that_begin_with_numbers_stand_in_their_order():
    labels = {"u": "10 to 19", "v": "5 to 9", "w": "20 and more"}
    assert list(by_label(VALUES, labels)) == ["5 to 9", "10 to 19", "20 and more"]


def test_a_user_without_a_slice_is_named():
    with pytest.raises(InputError, match="query 'w' is in no slice"):
        by_label(VALUES, {"u": "a", "v": "a"})


def test_targets_are_sliced_by_popularity_and_cold_ones_stand_apart():
    items = tuple("abcdef")
    popularity = dict(zip("abcde", (5, 4, 3, 2, 1), strict=True))
    qrels = {"u": {"a": 1}, "v": {"e": 1}, "w": {"f": 1}}
    ranking = Ranking(("u", "v", "w"), ((Hit("a", 1.0),), (Hit("b", 1.0),), (Hit("f", 1.0),)))
    found = slices_of_targets({"s": ranking}, qrels, "R@10", items, popularity)[POPULARITY]["s"]
    assert {label: (count, interval.mean) for label, (count, interval) in found.items()} == {
        "1 (head)": (1, 1.0),
        "5 (tail)": (1, 0.0),
        COLD: (1, 1.0),
    }


def test_a_table_has_a_row_per_system_and_a_column_per_slice():
    sliced = slices_of_users({"s": VALUES, "t": VALUES}, {"length": {"u": "a", "v": "a", "w": "b"}})
    lines = sliced_table("R@10 by length", sliced["length"]).splitlines()
    assert lines[0] == "**R@10 by length**"
    assert lines[2] == "| system | a (2) | b (1) |"
    assert [line.split(" | ")[0] for line in lines[4:6]] == ["| s", "| t"]
