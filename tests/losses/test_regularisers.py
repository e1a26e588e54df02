"""Regularisers: their values in plain arithmetic, their extremes, what they are blind to."""

from math import exp, log

import numpy as np
import pytest
import torch

from retrograd.losses.regularisers import alignment, balance, covariance, flops, uniformity, variance


@pytest.fixture
def vectors() -> torch.Tensor:
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_uniformity_is_the_log_of_a_mean_over_pairs(vectors):
    units = vectors / vectors.norm(dim=1, keepdim=True)
    pairs = [
        exp(-3 * float((units[i] - units[j]).square().sum())) for i in range(6) for j in range(6) if i != j
    ]
    assert uniformity(vectors, t=3.0).item() == pytest.approx(log(np.mean(pairs)))
    assert uniformity(torch.ones(3, 4)).item() == pytest.approx(0, abs=1e-6)


def test_alignment_is_the_mean_power_of_distances(vectors):
    other = vectors.flip(0)
    units, others = (x / x.norm(dim=1, keepdim=True) for x in (vectors, other))
    gaps = (units - others).norm(dim=1)
    torch.testing.assert_close(alignment(vectors, other), gaps.square().mean())
    torch.testing.assert_close(alignment(vectors, other, power=1.0), gaps.mean())
    assert alignment(vectors, 3 * vectors).item() == pytest.approx(0, abs=1e-12)


def test_flops_counts_expected_products(vectors):
    assert flops(vectors).item() == pytest.approx(float((np.abs(vectors.numpy()).mean(0) ** 2).sum()))


def test_balance_is_the_squared_variation_of_use():
    probabilities = torch.rand(5, 3, dtype=torch.float64)
    used = probabilities.sum(0).numpy()
    assert balance(probabilities).item() == pytest.approx(used.var() / used.mean() ** 2)
    assert balance(torch.full((4, 5), 0.2)).item() == pytest.approx(0, abs=1e-6)
    assert balance(torch.eye(3)[torch.zeros(4, dtype=torch.int64)]).item() == pytest.approx(2)
    where = torch.tensor([True, True, False, True, False])
    torch.testing.assert_close(balance(probabilities, where=where), balance(probabilities[where]))


def test_variance_and_covariance_are_those_of_numpy(vectors):
    matrix = np.cov(vectors.numpy(), rowvar=False)
    spread = np.sqrt(np.diag(matrix) + 1e-4)
    assert variance(vectors, floor=1.2).item() == pytest.approx(np.maximum(0, 1.2 - spread).mean())
    off = matrix - np.diag(np.diag(matrix))
    assert covariance(vectors).item() == pytest.approx((off**2).sum() / 4)


@pytest.mark.parametrize("term", [uniformity, variance, covariance, flops, balance])
@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_rows_cost_nothing_bad(term, rows):
    found = term(torch.zeros(rows, 3, requires_grad=True))
    assert found.item() == 0
    found.backward()


@pytest.mark.parametrize(
    "term", [uniformity, lambda x: alignment(x, x.flip(0)), variance, covariance, flops, balance]
)
def test_gradients_are_right_twice(term, vectors):
    positive = vectors.abs() + 0.1
    assert torch.autograd.gradcheck(term, positive.requires_grad_())
    assert torch.autograd.gradgradcheck(term, positive)
