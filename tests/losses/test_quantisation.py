"""Properties of the quantiser's losses, and their values against plain float64 arithmetic."""

import numpy as np
import pytest
import torch

from retrograd.losses.quantisation import commitment, negative_usage_entropy, reconstruction_angle


@pytest.fixture
def draw():
    rng = np.random.default_rng(3)
    return lambda *shape: rng.standard_normal(shape)


def test_the_angle_loss_is_one_minus_the_mean_cosine(draw):
    a, b = draw(6, 5), draw(6, 5)
    cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    found = reconstruction_angle(torch.tensor(a), torch.tensor(b))
    assert float(found) == pytest.approx(1 - cosines.mean(), abs=1e-12)


def test_commitment_is_the_squared_distance_times_one_plus_beta(draw):
    residuals, assigned = draw(4, 3, 5), draw(4, 3, 5)
    distance = ((residuals - assigned) ** 2).sum(axis=(1, 2)).mean()
    found = commitment(torch.tensor(residuals), torch.tensor(assigned), beta=0.4)
    assert float(found) == pytest.approx(1.4 * distance, abs=1e-12)


def test_beta_alone_pulls_the_residual_and_one_alone_the_code(draw):
    residuals = torch.tensor(draw(4, 3, 5), requires_grad=True)
    assigned = torch.tensor(draw(4, 3, 5), requires_grad=True)
    commitment(residuals, assigned, beta=0.25).backward()
    torch.testing.assert_close(residuals.grad, -0.25 * assigned.grad)
    torch.testing.assert_close(assigned.grad, 2 * (assigned - residuals).detach() / 4)


def test_usage_entropy_is_lowest_when_every_code_is_used_alike():
    even = [torch.full((8,), 1 / 8, dtype=torch.float64)] * 2
    one = [torch.eye(8, dtype=torch.float64)[0]] * 2
    assert float(negative_usage_entropy(even)) == pytest.approx(-2 * np.log(8), abs=1e-6)
    assert float(negative_usage_entropy(one)) == pytest.approx(0.0, abs=1e-6)
