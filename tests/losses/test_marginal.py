"""Latent choices: gradients are prior minus posterior, one step is one outcome, bounds are in order."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.losses.marginal import (
    likelihood_distillation,
    marginal_nll,
    posterior_distillation,
    relevance_nll,
    renyi_bound,
    token_marginal_nll,
)

seeds = st.integers(0, 2**31)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(seeds)
def test_the_marginal_is_a_sum_over_entries_and_its_gradient_prior_minus_posterior(seed):
    scores, likelihood = drawn(seed, 2, 5).requires_grad_(), 3 * drawn(seed + 1, 2, 5)
    loss = marginal_nll(scores.log_softmax(-1), likelihood)
    prior = scores.detach().softmax(-1)
    joint = prior * likelihood.exp()
    torch.testing.assert_close(loss.detach(), -joint.sum(-1).log().mean())
    (gradient,) = torch.autograd.grad(loss, scores)
    posterior = joint / joint.sum(-1, keepdim=True)
    torch.testing.assert_close(2 * gradient, prior - posterior, atol=1e-12, rtol=0)


@given(seeds)
def test_the_likelihood_of_the_relevant_has_the_same_gradient(seed):
    scores = drawn(seed, 6).requires_grad_()
    relevant = torch.tensor([True, False, True, False, False, False])
    (gradient,) = torch.autograd.grad(relevance_nll(scores, relevant), scores)
    prior = scores.detach().softmax(-1)
    posterior = prior * relevant / (prior * relevant).sum()
    torch.testing.assert_close(gradient, prior - posterior, atol=1e-12, rtol=0)


@given(seeds)
def test_distilling_the_posterior_teaches_the_prior_what_the_marginal_teaches(seed):
    scores, likelihood = drawn(seed, 3, 5).requires_grad_(), drawn(seed + 1, 3, 5).requires_grad_()
    (marginal,) = torch.autograd.grad(marginal_nll(scores.log_softmax(-1), likelihood), scores)
    loss = posterior_distillation(scores, likelihood)
    distilled, reader = torch.autograd.grad(loss, (scores, likelihood), allow_unused=True)
    torch.testing.assert_close(distilled, marginal, atol=1e-12, rtol=0)
    assert reader is None
    (gradient,) = torch.autograd.grad(likelihood_distillation(scores, likelihood, temperature=0.5), scores)
    target = (likelihood.detach() / 0.5).softmax(-1)
    torch.testing.assert_close(3 * gradient, scores.detach().softmax(-1) - target, atol=1e-12, rtol=0)


def test_one_step_is_a_whole_outcome_and_more_steps_are_their_sum():
    prior, steps = drawn(0, 2, 4).log_softmax(-1), -drawn(1, 2, 4, 3).abs()
    torch.testing.assert_close(token_marginal_nll(prior, steps[..., :1]), marginal_nll(prior, steps[..., 0]))
    each = [marginal_nll(prior, steps[..., at]) for at in range(3)]
    torch.testing.assert_close(token_marginal_nll(prior, steps), torch.stack(each).sum())
    first_two = torch.tensor([True, True, False])
    torch.testing.assert_close(token_marginal_nll(prior, steps, steps=first_two), each[0] + each[1])


def test_steps_under_one_certain_entry_are_the_outcome_under_it():
    prior = torch.tensor([0.0, -torch.inf], dtype=torch.float64)
    steps = -drawn(1, 2, 3).abs()
    torch.testing.assert_close(token_marginal_nll(prior, steps), marginal_nll(prior, steps.sum(-1)))


@given(seeds)
def test_bounds_fall_from_the_evidence_to_its_lower_bound(seed):
    joint, proposal = drawn(seed, 2, 6) - 3, drawn(seed + 1, 2, 6).log_softmax(-1)
    bounds = [renyi_bound(joint, proposal, alpha=alpha) for alpha in (0.0, 0.3, 0.9, 0.9999, 1.0, 1.5)]
    torch.testing.assert_close(bounds[0], joint.logsumexp(-1))
    lower = (proposal.exp() * (joint - proposal)).sum(-1)
    torch.testing.assert_close(bounds[4], lower)
    torch.testing.assert_close(bounds[3], lower, atol=1e-2, rtol=0)
    for higher, next_lower in pairwise(bounds):
        assert bool((higher >= next_lower - 1e-9).all())


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_the_posterior_as_proposal_makes_every_bound_tight(alpha):
    joint = drawn(3, 6)
    bound = renyi_bound(joint, joint.log_softmax(-1), alpha=alpha)
    torch.testing.assert_close(bound, joint.logsumexp(-1), atol=1e-12, rtol=0)


def test_drawn_entries_count_alike_and_their_mean_ratio_is_unbiased():
    """Over all pairs of draws with their probabilities: the mean of exp(bound at 0) is p(y)."""
    joint, proposal = drawn(4, 4), drawn(5, 4).log_softmax(-1)
    total = 0.0
    for i in range(4):
        for j in range(4):
            pair = torch.tensor([i, j])
            bound = renyi_bound(joint[pair], proposal[pair], alpha=0.0, drawn=True)
            total += float((bound + proposal[i] + proposal[j]).exp())
    assert total == pytest.approx(float(joint.exp().sum()), rel=1e-12)
