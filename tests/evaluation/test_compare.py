"""A comparison marks true differences, corrects over all of its tests and names the best."""

from dataclasses import replace

import numpy as np
import pytest

from retrograd.errors import InputError
from retrograd.evaluation.compare import compare
from retrograd.evaluation.measures import average_seeds
from retrograd.evaluation.significance import (
    Resampling,
    bootstrap_interval,
    holm,
    paired_differences,
    randomisation_test,
)
from tests.evaluation.comparisons import QUERIES, SYSTEMS, scores

FEW = Resampling(draws=1000)


@pytest.fixture(scope="module")
def comparison():
    return compare(SYSTEMS, baseline="base", resampling=FEW)


def test_true_differences_are_marked_and_noise_is_not(comparison):
    marks = {(system, measure): cell.mark for (system, measure), cell in comparison.cells.items()}
    for measure in comparison.measures:
        assert marks["high", measure] == "better"
        assert marks["low", measure] == "worse"
        assert marks["same", measure] == marks["base", measure] == ""


def test_figures_are_those_of_the_parts(comparison):
    differences = paired_differences(
        average_seeds(SYSTEMS["high"]).per_query["R@100"], SYSTEMS["base"].per_query["R@100"]
    )
    cell = comparison.cells["high", "R@100"]
    assert cell.difference.mean == pytest.approx(differences.mean())
    assert cell.p_value == randomisation_test(differences, resampling=FEW)
    assert cell.seed_deviation == pytest.approx(
        np.std([run.mean["R@100"] for run in SYSTEMS["high"]], ddof=1)
    )
    assert comparison.cells["low", "R@100"].seed_deviation == 0
    tested = [cell for cell in comparison.cells.values() if cell.difference is not None]
    assert len(tested) == 3 * 2
    assert [cell.adjusted_p for cell in tested] == holm([cell.p_value for cell in tested]).tolist()


def test_systems_that_agree_in_the_digits_shown_are_equally_best(comparison):
    assert comparison.best("nDCG@10") == {"high"}
    cells = dict(comparison.cells)
    near = cells["high", "nDCG@10"]
    cells["low", "nDCG@10"] = replace(
        near, interval=replace(near.interval, mean=round(near.interval.mean, 3))
    )
    assert replace(comparison, cells=cells).best("nDCG@10") == {"high", "low"}


def test_a_system_compared_with_its_twin_has_p_one():
    cells = compare({"a": SYSTEMS["low"], "b": SYSTEMS["low"]}, baseline="a", resampling=FEW).cells
    assert cells["b", "R@100"].p_value == cells["b", "R@100"].adjusted_p == 1.0
    assert cells["b", "R@100"].difference.mean == 0


def test_groups_make_claims_harder():
    two = {"base": scores(0, 0), "near": scores(0.06, 5)}
    single = compare(two, baseline="base", resampling=FEW)
    grouped = compare(two, baseline="base", groups={q: q[1] for q in QUERIES}, resampling=FEW)
    assert (single.num_groups, grouped.num_groups, grouped.num_queries) == (40, 4, 40)
    assert grouped.cells["near", "R@100"].p_value >= 2 / 2**4 > single.cells["near", "R@100"].p_value

    values = np.array(list(two["near"].per_query["R@100"].values()))
    members = [query[1] for query in QUERIES]
    assert grouped.cells["near", "R@100"].interval == bootstrap_interval(
        values, groups=members, resampling=FEW
    )


def test_a_mark_needs_more_where_more_is_tested():
    near = {f"near {number}": scores(0.04, 5) for number in range(30)}
    alone = compare({"base": scores(0, 0), "near": scores(0.04, 5)}, baseline="base", resampling=FEW)
    among = compare({"base": scores(0, 0), **near}, baseline="base", resampling=FEW)
    one, same = alone.cells["near", "nDCG@10"], among.cells["near 0", "nDCG@10"]
    assert one.p_value == same.p_value < one.adjusted_p < 0.05 < same.adjusted_p
    assert (one.mark, same.mark) == ("better", "")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"baseline": "none"}, "'none' is not compared"),
        ({"baseline": "base", "costs": {"none": {"ms": 1.0}}}, "'none' is not compared"),
        ({"baseline": "base", "groups": {}}, "no group"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments, reason):
    with pytest.raises(InputError, match=reason):
        compare(SYSTEMS, **arguments)


def test_systems_measured_differently_are_refused():
    fewer = replace(SYSTEMS["low"], per_query={"R@100": SYSTEMS["low"].per_query["R@100"]})
    with pytest.raises(InputError, match="'low' was measured by other measures"):
        compare({"base": SYSTEMS["base"], "low": fewer}, baseline="base")
    shorter = {name: dict(list(values.items())[1:]) for name, values in SYSTEMS["low"].per_query.items()}
    with pytest.raises(InputError, match="q00"):
        compare(
            {"base": SYSTEMS["base"], "low": replace(fewer, per_query=shorter)},
            baseline="base",
            resampling=FEW,
        )
