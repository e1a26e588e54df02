"""Properties of the quantiser's losses, and their values against plain float64 arithmetic."""

import numpy as np
import pytest
import torch

from retrograd.losses.quantisation import (
    code_diversity,
    commitment,
    negative_usage_entropy,
    reconstruction_angle,
)


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


def test_diversity_is_the_cost_of_telling_the_friend_among_all_other_codes(draw):
    book, codes, friends = draw(5, 3), [0, 4, 0, 2], [3, 1, -1, 0]
    costs = []
    for own, friend in zip(codes, friends, strict=True):
        if friend >= 0:
            products = book @ book[own]
            costs.append(np.log(np.exp(np.delete(products, own)).sum()) - products[friend])
    found = code_diversity(torch.tensor(book), torch.tensor(codes), torch.tensor(friends))
    assert found.dtype == torch.float64
    assert float(found) == pytest.approx(np.mean(costs), abs=1e-12)


def test_a_step_down_the_diversity_loss_draws_to_the_friend_and_away_from_the_others():
    book = torch.eye(3, dtype=torch.float64, requires_grad=True)
    code_diversity(book, torch.tensor([0]), torch.tensor([1])).backward()
    moved = (book - 0.1 * book.grad).detach()
    assert moved[0] @ moved[1] > 0 > moved[0] @ moved[2]


def test_codes_that_are_alone_cost_nothing():
    book = torch.eye(2, dtype=torch.float64, requires_grad=True)
    loss = code_diversity(book, torch.tensor([0, 1]), torch.tensor([-1, -1]))
    loss.backward()
    assert loss.item() == 0
    assert not book.grad.any()
