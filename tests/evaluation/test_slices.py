"""Slices cut the catalogue as they say and judge each part by its own documents."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.errors import InputError
from retrograd.evaluation.measures import evaluate
from retrograd.evaluation.slices import PopularitySlices, evaluate_slices
from retrograd.types import Hit, Ranking

counts = st.dictionaries(st.integers(0, 60).map("d{:02}".format), st.integers(0, 9), min_size=1)


@given(counts, st.integers(1, 6))
def test_equal_documents_cuts_equal_parts_from_head_to_tail(popularity, parts):
    slices = PopularitySlices(parts=parts).assign(list(popularity), popularity)
    sizes = np.bincount(list(slices.values()), minlength=parts + 1)[1:]
    assert slices.keys() == popularity.keys()
    assert sizes.max() - sizes.min() <= 1
    assert len(sizes) == parts
    for one in popularity:
        for two in popularity:
            assert slices[one] <= slices[two] or popularity[one] <= popularity[two]


def test_equal_popularity_cuts_by_mass():
    popularity = {"a": 5, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1}
    slices = PopularitySlices(parts=2, equal="popularity").assign([*popularity, "g"], popularity)
    assert slices == {"a": 1, "b": 2, "c": 2, "d": 2, "e": 2, "f": 2, "g": 2}


@pytest.mark.parametrize("scale", [1e-6, 1, 1e6])
@pytest.mark.parametrize("equal", ["documents", "popularity"])
def test_the_unit_of_popularity_is_irrelevant(scale, equal):
    popularity = {f"d{rank}": scale * 2.0**-rank for rank in range(8)}
    assert PopularitySlices(parts=4, equal=equal).assign(list(popularity), popularity) == PopularitySlices(
        parts=4, equal=equal
    ).assign(list(popularity), {name: value / scale for name, value in popularity.items()})


def test_documents_of_popularity_zero_can_stand_apart():
    slices = PopularitySlices(parts=2, zero_apart=True).assign(["a", "b", "c", "d"], {"a": 2, "b": 1, "c": 0})
    assert slices == {"a": 1, "b": 2, "c": 3, "d": 3}


def test_a_slice_is_judged_by_its_own_documents_only():
    slices = {"head": 1, "tail": 2, "other": 2}
    qrels = {"q1": {"head": 1, "tail": 1}, "q2": {"head": 1}}
    ranking = Ranking(("q1", "q2"), ((Hit("head", 2), Hit("tail", 1)), (Hit("other", 2), Hit("head", 1))))
    head, tail = evaluate_slices(ranking, qrels, slices, ["RR@10"])
    assert (head.slice, head.num_documents, tail.slice, tail.num_documents) == (1, 1, 2, 2)
    assert head.scores.per_query["RR@10"] == {"q1": 1.0, "q2": 0.5}
    assert tail.scores.per_query["RR@10"] == {"q1": 1.0}  # `head` above it is not held against it
    assert head.intervals["RR@10"].mean == 0.75
    assert 0.5 <= head.intervals["RR@10"].low <= head.intervals["RR@10"].high <= 1.0


def test_one_slice_is_the_whole():
    qrels = {"q1": {"a": 1, "b": 2}, "q2": {"c": 1}}
    ranking = Ranking(("q1", "q2"), ((Hit("c", 2), Hit("a", 1)), ()))
    (only,) = evaluate_slices(ranking, qrels, dict.fromkeys("abc", 1))
    assert only.scores == evaluate(ranking, qrels)


def test_slices_that_cannot_be_cut_are_refused():
    with pytest.raises(InputError, match="equal"):
        PopularitySlices(equal="clicks")
    with pytest.raises(InputError, match="parts"):
        PopularitySlices(parts=0)
    with pytest.raises(InputError, match="finite"):
        PopularitySlices().assign(["a"], {"a": -1})
    with pytest.raises(InputError, match="no document has any popularity"):
        PopularitySlices(equal="popularity").assign(["a"], {})
    with pytest.raises(InputError, match="'a' is judged relevant"):
        evaluate_slices(Ranking(("q",), ((),)), {"q": {"a": 1}}, {})
