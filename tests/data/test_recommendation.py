"""Cases of a recommendation set: every user is asked with exactly what came before, and falls into slices."""

from dataclasses import replace

import pytest

from retrograd.data.cuts import LastItems
from retrograd.data.interactions import Interactions
from retrograd.data.recommendation import cut_interactions, length_label
from retrograd.types import Corpus, Document, History, Query

CORPUS = Corpus(Document(str(number)) for number in range(40))


def cases(lives, clock="timestamp"):
    rows = [(user, item, float(time), 1.0) for user, life in lives.items() for item, time in life]
    taken = replace(Interactions.from_rows(rows), clock=clock)
    learnt, splits = cut_interactions(CORPUS, taken, LastItems())
    return learnt, splits["dev"]


def test_a_query_is_a_user_with_all_that_came_before():
    learnt, dev = cases({"u": [("2", 1), ("1", 2), ("3", 3)], "v": [("4", 1)]})
    assert learnt == [History("u", ("2", "1")), History("v", ("4",))]
    assert dev.queries == {"u": Query("u", "", ("2", "1"))}
    assert dev.qrels == {"u": {"3": 1}}


def test_each_case_is_in_one_slice_of_each_kind():
    lives = {"u": [("2", 1), ("10", 1)], "v": [("10", 1), ("2", 2)]}
    _, dev = cases(lives)
    assert dev.slices == {
        "history length": {"u": "1 to 4", "v": "1 to 4"},
        "last step": {"u": "ascending", "v": "descending"},  # by number, not by letters
        "time of the target": {"u": "with the last item", "v": "later"},
    }
    assert "time of the target" not in cases(lives, "order")[1].slices


@pytest.mark.parametrize("length", range(1, 40))
def test_a_length_lies_within_the_bounds_of_its_slice(length):
    first, word, last = length_label(length).split()
    assert int(first) <= length
    assert word == "and" or length <= int(last)
