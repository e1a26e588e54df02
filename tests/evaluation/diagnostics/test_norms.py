"""Norms against frequency: the sign of the relation, dead codes and short keys."""

import numpy as np
import pytest

from retrograd.errors import InputError
from retrograd.evaluation.diagnostics.norms import norm_against_frequency, spearman

BOOK = np.diag([1.0, 2.0, 3.0, 9.0])
CODES = np.array([[0], [1], [1], [2], [2], [2]])


def test_longer_and_more_frequent_codes_correlate_and_dead_ones_do_not_count():
    (level,) = norm_against_frequency([BOOK], CODES)
    assert level.used == 3
    assert level.spearman == 1
    assert level.frequencies.tolist() == [1, 2, 3, 0]
    assert level.norms.tolist() == [1, 2, 3, 9]
    assert level.norm_spread == pytest.approx(np.std([1, 2, 3]) / 2)


def test_weights_turn_the_relation_round():
    (level,) = norm_against_frequency([BOOK], CODES, np.array([90, 10, 10, 1, 1, 1]))
    assert level.frequencies.tolist() == [90, 20, 3, 0]
    assert level.spearman == -1


def test_equal_norms_have_no_rank_correlation():
    (level,) = norm_against_frequency([np.eye(4)], CODES)
    assert np.isnan(level.spearman)
    assert level.norm_spread == 0


def test_keys_that_end_early_count_only_as_far_as_they_reach():
    levels = norm_against_frequency([BOOK, BOOK], np.array([[0, -1], [1, 3]]))
    assert [level.frequencies.sum() for level in levels] == [2, 1]


def test_ties_take_their_mean_rank():
    # ranks 1.5 1.5 3 4 against 1 2 3 4: covariance 1.125, variances 1.125 and 1.25
    assert spearman(np.array([0, 0, 1, 2]), np.array([1, 2, 3, 4])) == pytest.approx(
        1.125 / (1.125 * 1.25) ** 0.5
    )


@pytest.mark.parametrize("codes", [np.array([[4]]), np.zeros((2, 0), int)])
def test_codes_of_other_codebooks_are_refused(codes):
    with pytest.raises(InputError, match="level"):
        norm_against_frequency([BOOK], codes)
