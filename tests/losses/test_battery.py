"""One battery over every loss of lists: padding, empty lists, order, independence, gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.losses.contrastive import infonce
from retrograd.losses.listwise import list_mle, listnet
from retrograd.losses.marginal import (
    likelihood_distillation,
    marginal_nll,
    posterior_distillation,
    relevance_nll,
    renyi_bound,
    token_marginal_nll,
)
from retrograd.losses.ndcg import approx_ndcg, lambda_rank, neural_ndcg
from retrograd.losses.pairwise import ranknet
from retrograd.losses.policy import expected_stopping_cost, reinforce, stop_distribution

RANKING = {
    "ranknet": ranknet,
    "listnet": listnet,
    "list_mle": list_mle,
    "approx_ndcg": lambda s, r, where=None: approx_ndcg(s, r, alpha=2.0, where=where),
    "neural_ndcg": lambda s, r, where=None: neural_ndcg(s, r, steps=200, where=where),
    "lambda_rank": lambda_rank,
    "relevance_nll": lambda s, r, where=None: relevance_nll(s, r > 1, where=where),
}
"""(scores, labels) -> loss."""

OTHERS = {
    "marginal_nll": marginal_nll,
    "token_marginal_nll": lambda s, r, where=None: token_marginal_nll(s, r.unsqueeze(-1), where=where),
    "posterior_distillation": posterior_distillation,
    "likelihood_distillation": likelihood_distillation,
    "renyi_bound": lambda s, r, where=None: renyi_bound(s, r, alpha=0.5, where=where).mean(),
    "evidence_bound": lambda s, r, where=None: renyi_bound(s, r, alpha=1.0, where=where).mean(),
    "reinforce": lambda s, r, where=None: reinforce(s, r, where=where),
    "stopping": lambda s, r, where=None: expected_stopping_cost(
        stop_distribution(s, where=where), r, cost_per_step=0.1, where=where
    ),
    "infonce": lambda s, r, where=None: infonce(
        s, torch.zeros(len(s), dtype=torch.int64), temperature=0.5, log_weight=r, where=where
    ),
}
"""(scores, numbers) -> loss."""

LOSSES = RANKING | OTHERS
MEANS = [name for name in LOSSES if name not in ("ranknet", "reinforce")]
"""Means over lists of equal weight; the others average pairs or draws."""

ORDERED = ("list_mle", "stopping", "infonce")
"""Position means something: it breaks ties, is a step, or names the positive."""

SMOOTH_ONCE = ("reinforce", "posterior_distillation")
"""Hold something fixed on purpose, so that value and gradient are not each other's."""

every = pytest.mark.parametrize("name", LOSSES)


def case(name: str, seed: int, lists: int = 3, entries: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(lists, entries, generator=generator, dtype=torch.float64)
    if name in RANKING:
        labels = torch.randint(0, 3, (lists, entries), generator=generator)
        labels[:, 0] = 2
        return scores, labels
    return scores, torch.randn(lists, entries, generator=generator, dtype=torch.float64)


@every
@given(seed=st.integers(0, 2**31))
@settings(max_examples=25)
def test_padding_changes_nothing_and_gets_no_gradient(name, seed):
    scores, labels = case(name, seed)
    wide_scores = torch.cat([scores, torch.full((3, 2), 1e6, dtype=torch.float64)], 1).requires_grad_()
    wide_labels = torch.cat([labels, torch.full((3, 2), 2, dtype=labels.dtype)], 1)
    where = torch.arange(7).expand(3, 7) < 5
    loss = LOSSES[name](wide_scores, wide_labels, where=where)
    torch.testing.assert_close(loss, LOSSES[name](scores, labels), atol=1e-8, rtol=1e-8)
    (gradient,) = torch.autograd.grad(loss, wide_scores)
    assert bool(torch.isfinite(gradient).all())
    assert bool((gradient[~where] == 0).all())


@pytest.mark.parametrize(
    "name", [name for name in MEANS if name not in ("renyi_bound", "evidence_bound", "infonce")]
)
def test_lists_without_entries_do_not_count(name):
    scores, labels = case(name, 1)
    more = torch.cat([scores, torch.full((2, 5), 7.0, dtype=torch.float64)]).requires_grad_()
    where = torch.ones(5, 5, dtype=torch.bool)
    where[3:] = False
    loss = LOSSES[name](more, torch.cat([labels, labels[:2]]), where=where)
    torch.testing.assert_close(loss, LOSSES[name](scores, labels), atol=1e-8, rtol=1e-8)
    loss.backward()
    assert bool(torch.isfinite(more.grad).all())


@pytest.mark.parametrize(
    "name", [name for name in LOSSES if name not in ("infonce", "renyi_bound", "evidence_bound")]
)
def test_nothing_to_learn_from_costs_nothing(name):
    scores, labels = case(name, 2)
    scores.requires_grad_()
    nowhere = torch.zeros_like(labels, dtype=torch.bool)
    loss = LOSSES[name](scores, labels, where=nowhere)
    assert float(loss.detach()) == 0
    (gradient,) = torch.autograd.grad(loss, scores, allow_unused=True)
    assert gradient is None or bool((gradient == 0).all())


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in ORDERED])
def test_the_order_of_entries_means_nothing(name):
    scores, labels = case(name, 3)
    order = torch.tensor([3, 1, 4, 0, 2])
    found = LOSSES[name](scores[:, order], labels[:, order])
    torch.testing.assert_close(found, LOSSES[name](scores, labels), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", MEANS)
def test_a_batch_is_the_mean_of_its_lists(name):
    scores, labels = case(name, 4)
    alone = [LOSSES[name](scores[row : row + 1], labels[row : row + 1]) for row in range(3)]
    torch.testing.assert_close(LOSSES[name](scores, labels), torch.stack(alone).mean(), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", RANKING)
def test_a_better_order_costs_less(name):
    labels = torch.tensor([[2, 1, 0, 0]])
    good = torch.tensor([[3.0, 2.0, 1.0, 0.0]], dtype=torch.float64)
    assert float(RANKING[name](good, labels)) < float(RANKING[name](good.flip(-1), labels))


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in SMOOTH_ONCE])
def test_gradients_are_right_twice(name):
    scores, labels = case(name, 5, lists=2, entries=4)
    loss = (
        (lambda s, r, where=None: neural_ndcg(s, r, steps=10, where=where))
        if name == "neural_ndcg"
        else LOSSES[name]
    )
    scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: loss(s, labels), scores)
    assert torch.autograd.gradgradcheck(lambda s: loss(s, labels), scores)
