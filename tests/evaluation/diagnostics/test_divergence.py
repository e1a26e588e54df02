"""Divergence of step-wise masking: against sums written out, and against the formula where that holds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.evaluation.diagnostics.divergence import (
    divergences,
    masses,
    predicted_divergence,
    prefix_numbers,
    simpson,
    step_divergence,
)
from tests.catalogues import tables


def law(table, seed, queries=2):
    """(queries, keys) probabilities, and the keys."""
    drawn = np.random.default_rng(seed).gamma(0.5, size=(queries, len(table))) + 1e-6
    return drawn / drawn.sum(axis=1, keepdims=True), [table.key(row) for row in range(len(table))]


@settings(max_examples=60)
@given(tables(), st.integers(0, 999), st.data())
def test_it_equals_the_sums_written_out(table, seed, data):
    chance, keys = law(table, seed)
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=len(keys), max_size=len(keys))))
    kept[data.draw(st.integers(0, len(keys) - 1))] = True
    first, whole = divergences(chance, prefix_numbers(table.padded), kept)
    for query in range(len(chance)):

        def below(prefix, only, p=chance[query]):
            return sum(
                p[row]
                for row, key in enumerate(keys)
                if key[: len(prefix)] == prefix and (kept[row] or not only)
            )

        def masked(prefix):
            """The model's chance of the last token once tokens without a kept key are ruled out."""
            live = {
                key[: len(prefix)]
                for row, key in enumerate(keys)
                if kept[row] and len(key) >= len(prefix) and key[: len(prefix) - 1] == prefix[:-1]
            }
            return below(prefix, False) / sum(below(one, False) for one in live)

        everything = below((), True)
        tokens = {key[:1] for row, key in enumerate(keys) if kept[row]}
        expected = 0.0
        for token in tokens:
            true = below(token, True) / everything
            expected += true * np.log(true / masked(token))
        assert first[query] == pytest.approx(expected, abs=1e-9)
        expected = 0.0
        for row, key in enumerate(keys):
            if kept[row]:
                true = chance[query, row] / everything
                steps = [masked(key[:length]) for length in range(1, len(key) + 1)]
                expected += true * np.log(true / np.prod(steps))
        assert whole[query] == pytest.approx(expected, abs=1e-9)


@settings(max_examples=30)
@given(tables(), st.integers(0, 999))
def test_with_the_whole_catalogue_nothing_diverges(table, seed):
    chance, _ = law(table, seed)
    found = step_divergence(chance, prefix_numbers(table.padded), 1.0, draws=2, seed=0)
    assert (found.first_token, found.predicted, found.whole_key) == pytest.approx((0, 0, 0), abs=1e-12)


@settings(max_examples=30)
@given(tables(), st.integers(0, 999))
def test_masses_add_up_and_the_simpson_index_lies_between_its_bounds(table, seed):
    chance, keys = law(table, seed)
    first = prefix_numbers(table.padded)[0]
    np.testing.assert_allclose(masses(chance, first).sum(axis=1), 1)
    index, counts = simpson(chance, first), np.bincount(first)
    assert (index <= 1 + 1e-9).all()
    assert (index >= 1 / counts - 1e-9).all()
    even = np.full((1, len(keys)), 1 / len(keys))
    np.testing.assert_allclose(simpson(even, first)[0], 1 / counts)


def test_the_formula_predicts_what_is_drawn_where_the_error_is_small():
    keys = np.stack(np.unravel_index(np.arange(16**3), (16, 16, 16)), axis=1)
    prefixes = prefix_numbers(keys)
    for concentration in (10.0, 1.0):
        drawn = np.random.default_rng(0).gamma(concentration, size=(4, len(keys)))
        chance = drawn / drawn.sum(axis=1, keepdims=True)
        found = step_divergence(chance, prefixes, 0.5, draws=150, seed=0)
        assert found.first_token == pytest.approx(found.predicted, rel=0.12)
        assert found.predicted == pytest.approx(float(predicted_divergence(chance, prefixes[0], 0.5).mean()))


def test_one_key_that_is_left_is_the_truth_and_the_masked_model_alike():
    chance, prefixes = np.array([[0.1, 0.2, 0.7]]), prefix_numbers(np.array([[0, 0], [0, 1], [1, 0]]))
    first, whole = divergences(chance, prefixes, np.array([False, True, False]))
    assert (first[0], whole[0]) == (0, 0)
    found = step_divergence(chance, prefixes, 1e-9, draws=3, seed=0)  # some key always stays
    assert found.first_token == found.whole_key == 0
