"""Isotropy figures agree on the cases everybody can compute: a ball, a line, a shifted ball."""

from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.errors import InputError
from retrograd.evaluation.diagnostics.isotropy import (
    alignment,
    effective_rank,
    iso_score,
    isotropy,
    mean_cosine,
    partition_ratio,
    uniformity,
)

D = 8
CROSS = np.vstack([np.eye(D), -np.eye(D)])
"""Every axis in both directions: covariance I / d, mean 0."""


@pytest.fixture(scope="module")
def ball():
    return np.random.default_rng(0).standard_normal((20_000, D))


def test_an_identity_covariance_scores_one(ball):
    assert iso_score(CROSS) == pytest.approx(1)
    assert iso_score(ball) == pytest.approx(1, abs=0.01)


def test_one_direction_scores_zero():
    line = np.outer(np.linspace(-1, 1, 50), np.arange(1, D + 1))
    assert iso_score(line) == pytest.approx(0, abs=1e-9)
    assert effective_rank(line) == pytest.approx(1)


@pytest.mark.parametrize("used", range(1, D + 1))
def test_the_score_is_linear_in_the_number_of_directions_used_evenly(used):
    # the scaled variances are sqrt(d / u) in u places, so phi = u / d and the score (u - 1) / (d - 1)
    points = CROSS[:, :used][np.abs(CROSS[:, :used]).any(axis=1)]
    widened = np.pad(points, ((0, 0), (0, D - used)))
    assert iso_score(widened) == pytest.approx((used - 1) / (D - 1))
    assert effective_rank(widened) == pytest.approx(used)


def test_a_shifted_ball_stays_even_for_the_score_but_not_for_cosines_and_partition(ball):
    shifted = ball + 5
    assert iso_score(shifted) == pytest.approx(iso_score(ball))
    assert mean_cosine(ball) == pytest.approx(0, abs=0.001)
    assert mean_cosine(shifted) > 0.9
    assert partition_ratio(ball) > 0.9
    assert partition_ratio(shifted) < 0.01


def test_rotation_and_scale_change_neither_score_nor_rank(ball):
    stretched = ball[:500] * np.arange(1, D + 1)
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((D, D)))[0]
    for figure in (iso_score, effective_rank):
        assert figure(3 * stretched @ rotation) == pytest.approx(figure(stretched))


@given(st.integers(2, 30), st.integers(0, 2**32))
def test_mean_cosine_equals_the_mean_over_all_pairs(n, seed):
    points = np.random.default_rng(seed).standard_normal((n, 4))
    units = points / np.linalg.norm(points, axis=1, keepdims=True)
    pairs = (units @ units.T)[np.triu_indices(n, 1)]
    assert mean_cosine(points) == pytest.approx(pairs.mean())


def test_uniformity_of_opposite_points_is_that_of_their_distance():
    assert uniformity(np.array([[1.0, 0], [-3.0, 0]]), seed=0) == pytest.approx(-2 * 2**2)
    # an axis cross: of the 15 others one is at distance 2, fourteen are at sqrt 2
    expected = log((exp(-8) + 14 * exp(-4)) / 15)
    assert uniformity(CROSS, seed=0) == pytest.approx(expected)


def test_a_sample_speaks_for_all_and_is_the_same_for_the_same_seed(ball):
    whole, part = uniformity(ball[:3000], seed=0), uniformity(ball[:3000], seed=0, sample=1000)
    assert part == pytest.approx(whole, abs=0.05)
    assert part == uniformity(ball[:3000], seed=0, sample=1000)
    assert part != uniformity(ball[:3000], seed=1, sample=1000)


def test_alignment_is_two_less_two_cosines():
    angle = 0.3
    ours, theirs = np.array([[2.0, 0.0]]), np.array([[np.cos(angle), np.sin(angle)]])
    assert alignment(ours, theirs) == pytest.approx(2 - 2 * np.cos(angle))


def test_equal_vectors_are_the_worst_of_everything():
    found = isotropy(np.ones((5, D)), seed=0)
    assert found.mean_cosine == pytest.approx(1)
    assert found.iso_score == 0
    assert found.effective_rank == pytest.approx(1)
    assert found.uniformity == pytest.approx(0)


@pytest.mark.parametrize(
    ("vectors", "reason"),
    [
        (np.ones((1, 3)), "at least two rows"),
        (np.ones(3), "must be"),
        (np.array([[1.0, np.nan], [1, 1]]), "not finite"),
        (np.array([[0.0, 0.0], [1, 1]]), "is zero"),
    ],
)
def test_what_has_no_direction_is_refused(vectors, reason):
    with pytest.raises(InputError, match=reason):
        isotropy(vectors, seed=0)
