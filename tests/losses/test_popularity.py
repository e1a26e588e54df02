"""Balancing popularity: shares explain popular classes, and scores are left with the rest."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.losses.popularity import balance_popularity

SHARES = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_it_is_its_formula(strength):
    scores = torch.tensor(np.random.default_rng(0).standard_normal((4, 3)))
    expected = scores.numpy() + strength * np.log(SHARES.numpy() + 1e-8)
    found = balance_popularity(scores, SHARES, strength=strength)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_scores_that_know_nothing_are_right_about_popularity_alone():
    found = balance_popularity(torch.zeros(2, 3, dtype=torch.float64), SHARES).softmax(dim=-1)
    torch.testing.assert_close(found, SHARES.expand(2, 3), rtol=1e-6, atol=0)


def test_training_with_it_leaves_scores_that_favour_what_the_query_says_and_not_the_popular():
    """Two kinds of query name class 1 and 2 a bit more often than shares do; class 0 leads everywhere."""
    truth = torch.tensor([[0.6, 0.35, 0.05], [0.8, 0.05, 0.15]], dtype=torch.float64)
    shares = truth.mean(dim=0)
    plain, balanced = (truth.log(), truth.log() - shares.log())  # minimisers of the two losses
    torch.testing.assert_close(balance_popularity(balanced, shares).softmax(dim=-1), truth, atol=1e-6, rtol=0)
    assert plain.argmax(dim=1).tolist() == [0, 0]
    assert balanced.argmax(dim=1).tolist() == [1, 2]


@given(st.floats(-5, 5))
def test_classes_that_are_never_wanted_stay_finite_and_shares_get_no_gradient(strength):
    shares = torch.tensor([1.0, 0.0], requires_grad=True)
    scores = torch.zeros(2, requires_grad=True)
    found = balance_popularity(scores, shares, strength=strength)
    assert bool(torch.isfinite(found).all())
    found.sum().backward()
    assert shares.grad is None
    assert scores.grad.tolist() == [1.0, 1.0]
