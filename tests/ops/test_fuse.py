"""Fusion in context: attention with a prior, and what that is for documents of one token."""

import math

import pytest
import torch
from torch.nn import functional as F

from retrograd.indexes.memory import Memory
from retrograd.indexes.proposals import TopK, Uniform, Union
from retrograd.losses import marginal_nll
from retrograd.ops.fuse import context_bias, context_tokens, fuse_in_context

N, D, M, H, L, B = 7, 3, 4, 5, 2, 3


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


KEYS, QUERIES, STATES = drawn(N, D), drawn(B, D, seed=1), drawn(B, L, H, seed=2)


def found(tokens: int = M, k: int = N, queries: torch.Tensor = QUERIES, **options):
    memory = Memory(KEYS, drawn(N, tokens, H, seed=3))
    return memory.search(queries, TopK(k), **options)


@pytest.mark.parametrize("share", [False, True])
def test_it_is_attention_with_a_bias_forward_and_backward(share):
    hits, states = found(), STATES.clone().requires_grad_()
    values = hits.values.flatten(1, 2)
    bias = hits.log_prob(0.7).repeat_interleave(M, -1) - (math.log(M) if share else 0.0)
    wanted = F.scaled_dot_product_attention(
        states, values, values, attn_mask=bias.unsqueeze(1).expand(B, L, -1)
    )
    ours = fuse_in_context(states, hits, temperature=0.7, share=share)
    torch.testing.assert_close(ours, wanted, atol=1e-12, rtol=0)
    one, two = (torch.autograd.grad(each.square().sum(), states)[0] for each in (ours, wanted))
    torch.testing.assert_close(one, two, atol=1e-12, rtol=0)


def test_states_that_tell_nothing_apart_leave_the_mixture_of_hits():
    hits = found(tokens=1)
    mixed = hits.mix(hits.weights(temperature=0.7)).expand(B, 1, H)
    ours = fuse_in_context(torch.zeros(B, L, H).double(), hits, temperature=0.7)
    torch.testing.assert_close(ours, mixed.expand(B, L, H), atol=1e-12, rtol=0)


def test_with_one_token_a_hit_the_weights_are_the_posterior_of_the_marginal():
    queries = QUERIES.clone().requires_grad_()
    hits = found(tokens=1, queries=queries)
    likelihood = (STATES[:, :1] @ hits.values.squeeze(-2).mT).squeeze(1) / H**0.5
    prior = hits.log_prob()
    posterior = (prior + likelihood).softmax(-1)
    ours = fuse_in_context(STATES[:, :1], hits).squeeze(1)
    torch.testing.assert_close(ours, (posterior.unsqueeze(-2) @ hits.values.squeeze(-2)).squeeze(-2))
    loss = B * marginal_nll(prior, likelihood.detach())
    (score_gradient,) = torch.autograd.grad(loss, hits.scores, retain_graph=True)
    torch.testing.assert_close(score_gradient, prior.exp() - posterior, atol=1e-12, rtol=0)


def test_with_several_tokens_it_is_no_mixture_of_what_each_hit_alone_would_give():
    hits = found()
    alone = torch.stack(
        [F.scaled_dot_product_attention(STATES, hits.values[:, z], hits.values[:, z]) for z in range(N)], 1
    )
    mixture = (hits.log_prob().exp()[..., None, None] * alone).sum(1)
    assert float((fuse_in_context(STATES, hits) - mixture).abs().max().detach()) > 0.01


def test_shared_weights_do_not_depend_on_how_long_a_hit_is():
    hits = found(tokens=2)
    tokens = torch.ones(B, N, 2, dtype=torch.bool)
    tokens[:, 0, 1] = False
    flat = torch.zeros(B, 1, H).double()
    weights = context_bias(hits, tokens=tokens, share=True).exp()
    torch.testing.assert_close(weights.sum(-1), hits.log_prob().exp())
    assert bool((weights[:, 0, 1] == 0).all())
    plain = context_bias(hits, tokens=tokens).exp()
    torch.testing.assert_close(plain[:, 1, 0], hits.log_prob().exp()[:, 1])
    assert fuse_in_context(flat, hits, tokens=tokens, share=True).shape == (B, 1, H)


def test_padding_is_as_if_it_were_not_there():
    memory = Memory(KEYS, F.pad(drawn(N, 2, H, seed=3), (0, 0, 0, 3)))
    where = torch.ones(B, N, dtype=torch.bool)
    where[0, 2:] = False
    padded = memory.search(QUERIES, TopK(5), where=where)
    ours = fuse_in_context(STATES, padded)
    few = Memory(KEYS[:2], drawn(N, 2, H, seed=3)[:2]).search(QUERIES[:1], TopK(5))
    torch.testing.assert_close(ours[:1], fuse_in_context(STATES[:1], few), atol=1e-12, rtol=0)
    assert int(context_tokens(padded)[0].sum()) == 4
    nothing = memory.search(QUERIES, TopK(2), where=torch.zeros(N, dtype=torch.bool))
    assert torch.equal(fuse_in_context(STATES, nothing), torch.zeros(B, L, H).double())


def test_its_gradient_is_right_in_states_tokens_keys_and_temperature():
    memory_values, tau = drawn(N, M, H, seed=3), torch.tensor(0.8, dtype=torch.float64)
    draft = Memory(KEYS).propose(
        QUERIES, Union(TopK(2), Uniform(2)), generator=torch.Generator().manual_seed(0)
    )

    def fused(states, queries, keys, values, other, temperature):
        hits = Memory(keys, values).read(queries, draft)
        return fuse_in_context(states, hits, keys=hits.values @ other, temperature=temperature)

    leaves = (STATES, QUERIES, KEYS, memory_values, drawn(H, H, seed=4), tau)
    assert torch.autograd.gradcheck(fused, tuple(leaf.clone().requires_grad_() for leaf in leaves))


def test_values_that_are_no_tokens_are_refused():
    with pytest.raises(ValueError, match="token vectors"):
        fuse_in_context(STATES, Memory(KEYS).search(QUERIES, TopK(2)))
