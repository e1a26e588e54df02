"""Intervals cover, tests are exact where they can be, and corrections follow their definition."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.errors import InputError
from retrograd.evaluation.significance import (
    EXACT_GROUPS,
    MANY,
    Resampling,
    bootstrap_interval,
    groups_of,
    holm,
    paired_differences,
    randomisation_test,
)

FEW = Resampling(draws=500)
steps = st.integers(-4, 4).map(lambda value: value / 4)
differences = st.lists(steps, min_size=1, max_size=9).map(np.array)


def enumerated(sums: np.ndarray) -> float:
    """Share of all sign patterns whose mean is at least as far from 0; quarters add without error."""
    patterns = list(product((-1, 1), repeat=len(sums)))
    return sum(abs(np.dot(signs, sums)) >= abs(sums.sum()) for signs in patterns) / len(patterns)


@given(differences)
def test_few_queries_are_enumerated_exactly(values):
    assert randomisation_test(values) == pytest.approx(enumerated(values))


@given(differences, st.data())
def test_grouped_queries_change_sign_together(values, data):
    groups = data.draw(st.lists(st.sampled_from("xyz"), min_size=len(values), max_size=len(values)))
    sums = np.array(
        [sum(v for v, g in zip(values, groups, strict=True) if g == name) for name in set(groups)]
    )
    assert randomisation_test(values, groups=groups) == pytest.approx(enumerated(sums))


@given(st.lists(steps, min_size=1, max_size=40).map(np.array))
@settings(max_examples=40)
def test_swapping_the_systems_changes_nothing_but_the_sign(values):
    assert randomisation_test(-values, resampling=FEW) == randomisation_test(values, resampling=FEW)
    ours, theirs = (bootstrap_interval(v, resampling=FEW) for v in (values, -values))
    assert ours.mean == -theirs.mean
    np.testing.assert_allclose([ours.low, ours.high], [-theirs.high, -theirs.low], atol=1e-12)


@pytest.mark.parametrize("num_queries", [1, 5, 200])
def test_identical_systems_have_p_one(num_queries):
    assert randomisation_test(np.zeros(num_queries)) == 1.0


def test_queries_without_a_difference_leave_the_test_exact():
    assert randomisation_test(np.concatenate([np.zeros(100), [1.0, 2.0, 3.0]])) == 2 / 2**3


def test_drawn_patterns_agree_with_enumeration():
    rng = np.random.default_rng(3)
    values = rng.normal(0.35, 1.0, EXACT_GROUPS)
    exact = randomisation_test(values)
    drawn = randomisation_test(np.append(values, [1e-13, -1e-13]), resampling=Resampling(draws=40_000))
    assert 0.01 < exact < 0.9
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 40_000) + 1e-4)


def test_a_drawn_p_value_is_never_zero():
    assert randomisation_test(np.ones(100), resampling=FEW) == 1 / 501


def test_without_an_effect_p_values_are_uniform_enough():
    rng = np.random.default_rng(0)
    p = np.array([randomisation_test(rng.normal(size=40), resampling=FEW) for _ in range(300)])
    assert 0.02 < np.mean(p < 0.05) < 0.09
    assert 0.43 < p.mean() < 0.57


def test_intervals_cover_the_true_mean_about_as_often_as_they_say():
    rng = np.random.default_rng(1)
    found = [bootstrap_interval(rng.exponential(size=60), resampling=FEW) for _ in range(300)]
    assert 0.88 < np.mean([interval.low <= 1.0 <= interval.high for interval in found]) < 0.98


def test_grouped_intervals_cover_where_ungrouped_ones_are_too_narrow():
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(40), 6).astype(str)
    covered, naive = [], []
    for _ in range(150):
        values = np.repeat(rng.normal(size=40), 6) + 0.1 * rng.normal(size=240)
        for hits, given_groups in ((covered, groups), (naive, None)):
            interval = bootstrap_interval(values, groups=given_groups, resampling=FEW)
            hits.append(interval.low <= 0 <= interval.high)
    assert np.mean(covered) > 0.88 > 0.75 > np.mean(naive)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=30).map(np.array), st.integers(0, 5))
@settings(max_examples=30)
def test_an_interval_lies_within_the_values_and_repeats_with_its_seed(values, seed):
    how = Resampling(draws=200, seed=seed)
    interval = bootstrap_interval(values, resampling=how)
    assert values.min() - 1e-9 <= interval.low <= interval.high <= values.max() + 1e-9
    assert interval.mean == pytest.approx(values.mean(), abs=1e-12)
    assert interval == bootstrap_interval(values, resampling=how)


def test_one_group_is_no_ground_for_an_interval():
    interval = bootstrap_interval(np.array([0.0, 1.0]), groups=["x", "x"])
    assert interval.mean == 0.5
    assert np.isnan([interval.low, interval.high]).all()


def test_large_groups_weigh_by_their_queries():
    values = np.ones(12)
    interval = bootstrap_interval(values, groups=list("aaaaaabbbccd"), resampling=FEW)
    assert (interval.mean, interval.low, interval.high) == (1.0, 1.0, 1.0)


def test_groups_of_one_query_each_are_no_groups():
    values = np.random.default_rng(0).normal(size=30)
    names = [f"{number:02}" for number in range(30)]
    assert bootstrap_interval(values, groups=names) == bootstrap_interval(values)
    assert randomisation_test(values, groups=names) == randomisation_test(values)


def test_holm_equals_a_worked_example():
    assert holm([0.005, 0.011, 0.02, 0.04, 0.13]) == pytest.approx(
        [5 * 0.005, 4 * 0.011, 3 * 0.02, 2 * 0.04, 1 * 0.13]
    )
    assert holm([0.04, 0.03, 0.6]) == pytest.approx([3 * 0.03, 3 * 0.03, 0.6])  # kept from falling
    assert holm([0.7, 0.8]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


@given(st.lists(st.floats(0, 1), max_size=8), st.randoms())
def test_holm_is_between_no_correction_and_bonferroni_in_any_order(p_values, random):
    adjusted = holm(p_values)
    assert np.all(adjusted >= np.array(p_values))
    assert np.all(adjusted <= np.minimum(1, np.array(p_values) * len(p_values)))
    order = random.sample(range(len(p_values)), len(p_values))
    np.testing.assert_array_equal(holm([p_values[at] for at in order]), adjusted[order])


def test_differences_are_paired_by_query_whatever_the_order():
    ours, theirs = {"a": 1.0, "b": 0.5}, {"b": 0.25, "a": 0.0}
    assert paired_differences(ours, theirs).tolist() == [1.0, 0.25]
    with pytest.raises(InputError, match="'c'"):
        paired_differences(ours, theirs | {"c": 1.0})


def test_what_cannot_be_resampled_is_refused():
    for values in ([], [float("nan")], [[1.0]]):
        with pytest.raises(InputError):
            bootstrap_interval(np.array(values))
    with pytest.raises(InputError, match="2 groups were given for 3"):
        randomisation_test(np.ones(3), groups=["x", "y"])
    with pytest.raises(InputError, match="'b' has no group"):
        groups_of(["a", "b"], {"a": "x"})
    for wrong in ({"draws": 0}, {"level": 1.0}):
        with pytest.raises(InputError):
            Resampling(**wrong)


def test_many_equal_values_are_drawn_by_their_counts_to_the_same_effect():
    rng = np.random.default_rng(5)
    values = rng.choice([0.0, 0.0, 0.0, 0.5, 1.0], size=6000)
    assert len(values) >= MANY
    drawn = rng.choice(values, size=(4000, len(values))).mean(axis=1)
    interval = bootstrap_interval(values)
    assert interval.mean == pytest.approx(values.mean())
    assert (interval.low, interval.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.0015)
    differences = rng.choice([-1.0, 0.0, 0.5, 1.0], p=[0.02, 0.95, 0.01, 0.02], size=6000)
    signs = rng.choice([-1.0, 1.0], size=(4000, len(differences)))
    expected = (np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9).mean()
    assert randomisation_test(differences) == pytest.approx(expected, abs=0.04)
    assert randomisation_test(np.ones(6000)) == 1 / 10_001
