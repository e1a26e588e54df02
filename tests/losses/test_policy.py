"""Policies: estimators whose mean over draws is the exact gradient, distributions that add up to 1."""

import itertools

import pytest
import torch

from retrograd.losses.policy import (
    BASELINES,
    expected_stopping_cost,
    plackett_luce_log_probability,
    reinforce,
    stop_distribution,
)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("draws", [1, 2, 3])
def test_the_mean_over_all_draws_is_the_exact_gradient(baseline, draws):
    logits, reward = drawn(0, 4).requires_grad_(), drawn(1, 4)
    (exact,) = torch.autograd.grad(-(logits.softmax(-1) * reward).sum(), logits)
    mean = torch.zeros(4, dtype=torch.float64)
    for actions in itertools.product(range(4), repeat=draws):
        chosen = torch.tensor(actions)
        log_probability = logits.log_softmax(-1)[chosen]
        (gradient,) = torch.autograd.grad(
            reinforce(log_probability, reward[chosen], baseline=baseline), logits
        )
        mean += log_probability.sum().exp().detach() * gradient
    torch.testing.assert_close(mean, exact, atol=1e-12, rtol=0)


def test_leaving_one_out_lowers_the_variance_and_a_constant_reward_teaches_nothing():
    logits, reward = drawn(0, 4).requires_grad_(), 5 + drawn(1, 4)
    spread = {}
    for baseline in BASELINES:
        chosen = torch.multinomial(logits.detach().softmax(-1), 4000, replacement=True).view(-1, 4)
        gradients = [
            torch.autograd.grad(
                reinforce(logits.log_softmax(-1)[row], reward[row], baseline=baseline), logits
            )[0]
            for row in chosen
        ]
        spread[baseline] = float(torch.stack(gradients).var(0).sum())
    assert spread["leave_one_out"] < spread["none"] / 4
    constant = reinforce(logits.log_softmax(-1), torch.full((4,), 3.0, dtype=torch.float64))
    assert bool((torch.autograd.grad(constant, logits)[0].abs() < 1e-15).all())


def test_an_unknown_baseline_names_the_known_ones():
    with pytest.raises(ValueError, match="leave_one_out, none"):
        reinforce(torch.zeros(2), torch.zeros(2), baseline="mean")


def test_stops_add_up_to_1_and_are_products_of_going_on():
    logits = 3 * drawn(2, 2, 5)
    hazard = torch.sigmoid(logits)
    hazard[:, -1] = 1
    expected = torch.stack([hazard[:, t] * (1 - hazard[:, :t]).prod(-1) for t in range(5)], -1)
    stops = stop_distribution(logits)
    torch.testing.assert_close(stops, expected)
    torch.testing.assert_close(stops.sum(-1), torch.ones(2, dtype=torch.float64), atol=1e-15, rtol=0)
    where = torch.tensor([[True, True, True, False, False], [True] + [False] * 4])
    short = stop_distribution(logits, where=where)
    torch.testing.assert_close(short[0, :3], stop_distribution(logits[0, :3]))
    assert short[1].tolist() == [1, 0, 0, 0, 0]
    assert stop_distribution(torch.tensor([1e4, 0.0])).tolist() == [1, 0]


def test_the_expected_cost_of_stopping_is_the_sum_over_episodes():
    logits, losses, hazard_cost = drawn(3, 4), drawn(4, 4), 0.0
    hazard = torch.sigmoid(logits)
    for stops in itertools.product((False, True), repeat=3):  # would it stop at each step but the last
        probability = torch.stack([h if s else 1 - h for h, s in zip(hazard, stops, strict=False)]).prod()
        step = stops.index(True) if any(stops) else 3
        hazard_cost += float(probability * (losses[step] + 0.2 * (step + 1)))
    found = expected_stopping_cost(stop_distribution(logits), losses, cost_per_step=0.2)
    assert found.item() == pytest.approx(hazard_cost, abs=1e-12)


@pytest.mark.parametrize("k", [0, 1, 2, 4])
def test_ordered_choices_add_up_to_1(k):
    scores = 2 * drawn(5, 4)
    every = list(itertools.permutations(range(4), k))
    orders = torch.tensor(every, dtype=torch.int64).view(len(every), k)
    total = plackett_luce_log_probability(scores.expand(len(orders), 4), orders).exp().sum()
    torch.testing.assert_close(total, torch.tensor(1.0, dtype=torch.float64), atol=1e-12, rtol=0)


def test_an_ordered_choice_is_a_product_of_softmaxes_over_what_is_left():
    scores, order = drawn(6, 5), [3, 0, 4]
    left, expected = list(range(5)), 0.0
    for chosen in order:
        expected += float(scores[left].log_softmax(-1)[left.index(chosen)])
        left.remove(chosen)
    found = plackett_luce_log_probability(scores, torch.tensor(order))
    assert found.item() == pytest.approx(expected, abs=1e-12)


def test_masked_entries_are_never_drawn():
    scores = drawn(7, 5)
    where = torch.tensor([True, True, False, True, False])
    found = plackett_luce_log_probability(scores, torch.tensor([3, 1, 0]), where=where)
    torch.testing.assert_close(found, plackett_luce_log_probability(scores[where], torch.tensor([2, 1, 0])))


def test_gradients_of_distributions_are_right_twice():
    scores, order = drawn(8, 2, 4).requires_grad_(), torch.tensor([[2, 0], [3, 1]])
    for function in (stop_distribution, lambda s: plackett_luce_log_probability(s, order)):
        assert torch.autograd.gradcheck(function, scores)
        assert torch.autograd.gradgradcheck(function, scores)
