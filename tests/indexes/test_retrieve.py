"""Retrieval as one operator: attention, gradients, limits, certificates."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from retrograd.indexes.memory import Memory
from retrograd.indexes.proposals import Given, TopK, Uniform, Union
from retrograd.indexes.retrieve import retrieve
from retrograd.losses import infonce, marginal_nll
from retrograd.ops.labels import Label
from retrograd.ops.temperature import Temperature

N, D, B = 14, 5, 3


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


KEYS, VALUES, QUERIES = drawn(N, D), drawn(N, 2, seed=2), drawn(B, D, seed=1)


@given(seed=st.integers(0, 2**31))
def test_the_whole_memory_is_attention_forward_and_backward(seed):
    leaves = [drawn(B, D, seed=seed), drawn(N, D, seed=seed + 1), drawn(N, 2, seed=seed + 2)]
    found = []
    for whole in (True, False):
        queries, keys, values = (leaf.clone().requires_grad_() for leaf in leaves)
        if whole:
            mixed = retrieve(queries, Memory(keys, values), TopK(N), temperature=D**0.5)
        else:
            mixed = F.scaled_dot_product_attention(queries, keys, values)
        mixed.square().sum().backward()
        found.append([mixed.detach(), queries.grad, keys.grad, values.grad])
    torch.testing.assert_close(*found, atol=1e-12, rtol=0)


@pytest.mark.parametrize("proposal", [TopK(N + 3), Uniform(N), Union(TopK(4), Uniform(N))], ids=repr)
def test_everything_however_proposed_is_the_exhaustive_sum(proposal):
    wanted = (QUERIES @ KEYS.T / 0.3).softmax(-1) @ VALUES
    torch.testing.assert_close(
        retrieve(QUERIES, Memory(KEYS, VALUES), proposal, temperature=0.3), wanted, atol=1e-12, rtol=0
    )


def test_a_causal_mask_is_a_filter():
    where = torch.ones(N, N, dtype=torch.bool).tril()
    wanted = F.scaled_dot_product_attention(KEYS, KEYS, VALUES, attn_mask=where)
    found = retrieve(KEYS, Memory(KEYS, VALUES), TopK(N), temperature=D**0.5, where=where)
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=0)


@pytest.mark.parametrize("how", ["softmax", "sparsemax", "entmax", "soft_topk"])
@pytest.mark.parametrize("proposal", [TopK(6), Union(TopK(3), Uniform(3))], ids=repr)
def test_the_gradient_is_that_of_the_forward_value(how, proposal):
    k = 2 if how == "soft_topk" else None
    draft = Memory(KEYS).propose(QUERIES, proposal, generator=torch.Generator().manual_seed(0))

    def mixed(queries, keys, values, temperature):
        hits = Memory(keys, values).read(queries, draft)
        return hits.mix(hits.weights(how=how, temperature=temperature, k=k))

    tau = torch.tensor(1.3, dtype=torch.float64)
    leaves = tuple(leaf.clone().requires_grad_() for leaf in (QUERIES, KEYS, VALUES, tau))
    assert torch.autograd.gradcheck(mixed, leaves)
    if how == "softmax":
        assert torch.autograd.gradgradcheck(mixed, leaves)


def test_gradcheck_through_retrieve():
    queries = QUERIES.clone().requires_grad_()
    memory = Memory(KEYS, VALUES)
    assert torch.autograd.gradcheck(lambda u: retrieve(u, memory, TopK(5), temperature=0.7), queries)


def test_the_gradient_in_the_scores_moves_the_mixture_against_the_loss():
    memory, tau = Memory(KEYS, VALUES), 0.6
    hits = memory.search(QUERIES, TopK(5))
    scores = hits.scores.detach().requires_grad_()
    weights = (scores / tau).softmax(-1)
    mixed = hits.mix(weights)
    g = drawn(B, 2, seed=7)
    (gradient,) = torch.autograd.grad((mixed * g).sum(), scores)
    by_hand = weights * ((hits.values - mixed.unsqueeze(1)) * g.unsqueeze(1)).sum(-1) / tau
    torch.testing.assert_close(gradient, by_hand)


def test_forward_and_reverse_jacobians_agree():
    memory = Memory(KEYS, VALUES)

    def mixed(u):
        return retrieve(u, memory, TopK(5), temperature=0.7)

    one = QUERIES[0]
    reverse, forward = torch.func.jacrev(mixed)(one), torch.func.jacfwd(mixed)(one)
    torch.testing.assert_close(reverse, forward, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("how", ["softmax", "sparsemax"])
def test_a_low_temperature_takes_the_best_and_a_high_one_the_mean(how):
    memory = Memory(KEYS, VALUES)
    cold = retrieve(QUERIES, memory, TopK(N), temperature=1e-4, how=how)
    torch.testing.assert_close(cold, VALUES[(QUERIES @ KEYS.T).argmax(-1)])
    warm = retrieve(QUERIES, memory, TopK(N), temperature=1e9, how=how)
    torch.testing.assert_close(warm, VALUES.mean(0).expand(B, 2), atol=1e-6, rtol=0)


@given(seed=st.integers(0, 2**31), k=st.integers(1, N - 1))
def test_the_error_is_within_the_bound_of_the_mass_left_out(seed, k):
    queries, memory = drawn(B, D, seed=seed), Memory(KEYS, VALUES)
    exact = (queries @ KEYS.T).softmax(-1)
    hits = memory.search(queries, TopK(k))
    error = (retrieve(queries, memory, TopK(k)) - exact @ VALUES).norm(dim=-1)
    kept = exact.gather(1, hits.ids).sum(-1)
    assert (error <= 2 * (1 - kept) * VALUES.norm(dim=-1).max() + 1e-12).all()


@given(seed=st.integers(0, 2**31))
def test_a_certificate_means_that_nothing_outside_has_weight(seed):
    queries, memory = drawn(1, D, seed=seed), Memory(KEYS, VALUES)
    hits = memory.search(queries, TopK(5))
    weights = hits.weights(how="sparsemax", temperature=0.5)
    whole = memory.search(queries, TopK(N)).weights(how="sparsemax", temperature=0.5)
    certified = hits.label_of(weights, "sparsemax") is Label.EXACT
    assert certified == bool((weights == 0).any())
    if certified:
        torch.testing.assert_close(
            hits.mix(weights), memory.search(queries, TopK(N)).mix(whole), atol=1e-12, rtol=0
        )


def test_a_consistent_estimate_of_the_mass_is_near_the_truth():
    memory = Memory(drawn(400, D), drawn(400, 2))
    hits = memory.search(QUERIES, Union(TopK(40), Uniform(80)), generator=torch.Generator().manual_seed(0))
    exact = (QUERIES @ memory.keys.T).softmax(-1).gather(1, hits.ids).sum(-1)
    assert (hits.mass() - exact).abs().max() < 0.05
    assert memory.search(QUERIES, TopK(40)).mass().isnan().all()
    assert (memory.search(QUERIES, TopK(400)).mass() == 1).all()


def test_losses_take_hits_and_padding_counts_for_nothing():
    tau, memory = 0.5, Memory(KEYS, VALUES)
    where = torch.arange(N) < torch.tensor([[N], [9], [4]])
    hits = memory.search(QUERIES, TopK(N), where=where)
    likelihood = drawn(B, N, seed=9)
    scores = hits.scores.detach().requires_grad_()
    again = hits.rescore(lambda queries, found: scores)
    (gradient,) = torch.autograd.grad(B * marginal_nll(again.log_prob(tau), likelihood), scores)
    prior = again.weights(temperature=tau).detach()
    posterior = (prior * likelihood.exp()) / (prior * likelihood.exp()).sum(-1, keepdim=True)
    torch.testing.assert_close(gradient, (prior - posterior) / tau, atol=1e-12, rtol=0)
    positives = torch.tensor([3, 4, 2])
    found = memory.search(QUERIES, Union(Given(positives), TopK(4)), where=where)
    loss = infonce(
        found.scores,
        torch.zeros(B, dtype=torch.int64),
        temperature=tau,
        log_weight=found.log_weight,
        where=found.where,
    )
    torch.testing.assert_close(loss, -found.log_prob(tau)[:, 0].mean())
    assert torch.equal(found.ids[:, 0], positives)


def test_a_learnt_temperature_learns_through_retrieval():
    tau = Temperature(0.5)
    retrieve(QUERIES, Memory(KEYS, VALUES), TopK(4), temperature=tau).sum().backward()
    assert tau.log_value.grad.abs() > 0


def test_compiled_selection_is_the_plain_one():
    draft = Memory(KEYS).propose(QUERIES, TopK(5))
    memory = Memory(KEYS, VALUES)

    def mixed(queries):
        hits = memory.read(queries, draft)
        return hits.log_prob(0.5)

    compiled = torch.compile(mixed, backend="eager")
    torch.testing.assert_close(compiled(QUERIES), mixed(QUERIES))
