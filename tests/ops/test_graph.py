"""Walks over graphs: against dense algebra, with gradients, bounds, limits and renumbered nodes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.ops.graph import edge_softmax, ppr, ppr_exact, propagate

N, E = 7, 20


def graph(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Edges with a self-loop each (no dangling node), their scores, and two rows of seeds."""
    generator = torch.Generator().manual_seed(seed)
    loops = torch.arange(N).expand(2, N)
    edges = torch.cat([torch.randint(N, (2, E), generator=generator), loops], 1)
    scores = torch.randn(E + N, generator=generator, dtype=torch.float64)
    seeds = torch.rand(2, N, generator=generator, dtype=torch.float64)
    return edges, scores, seeds / seeds.sum(-1, keepdim=True)


def walks(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    edges, scores, seeds = graph(seed)
    return edges, edge_softmax(scores, edges[0], N), seeds


@given(st.integers(0, 2**31))
def test_edge_softmax_is_a_softmax_within_each_group(seed):
    edges, scores, _ = graph(seed)
    both = torch.stack([scores, 50 * scores])
    weights = edge_softmax(both, edges[0], N + 1)
    for node in range(N):
        of_node = edges[0] == node
        torch.testing.assert_close(weights[:, of_node], both[:, of_node].softmax(-1), atol=1e-12, rtol=0)


def test_propagation_is_a_sparse_product():
    edges, weights, _ = walks(0)
    features = torch.randn(N, 3, dtype=torch.float64)
    dense = torch.zeros(N, N, dtype=torch.float64).index_put((edges[1], edges[0]), weights, accumulate=True)
    torch.testing.assert_close(propagate(edges, features, weights), dense @ features)
    torch.testing.assert_close(
        propagate(edges, features, torch.ones_like(weights)), propagate(edges, features)
    )


@given(st.integers(0, 2**31), st.floats(0.05, 1.0))
def test_pagerank_is_the_direct_solve_and_adds_up_to_1(seed, restart):
    edges, weights, seeds = walks(seed)
    found = ppr(edges, weights, seeds, restart=restart)
    torch.testing.assert_close(found, ppr_exact(edges, weights, seeds, restart=restart), atol=2e-12, rtol=0)
    torch.testing.assert_close(found.sum(-1), torch.ones(2, dtype=torch.float64))


def test_the_direct_solve_is_exact():
    edges, weights, seeds = walks(1)
    found = ppr_exact(edges, weights, seeds, restart=0.3)
    walked = propagate(edges, found.T, weights).T
    torch.testing.assert_close(found, 0.7 * walked + 0.3 * seeds, atol=1e-15, rtol=0)


@pytest.mark.parametrize("restart", [0.15, 0.6])
def test_gradients_are_those_of_the_direct_solve(restart):
    edges, scores, seeds = graph(2)
    alpha = torch.tensor(restart, dtype=torch.float64)
    pull = torch.randn(2, N, dtype=torch.float64)
    found = []
    for solve in (ppr, ppr_exact):
        leaves = [x.clone().requires_grad_() for x in (scores, seeds, alpha)]
        value = solve(edges, edge_softmax(leaves[0], edges[0], N), leaves[1], restart=leaves[2])
        found.append(torch.autograd.grad((value * pull).sum(), leaves))
    for ours, exact in zip(*found, strict=True):
        torch.testing.assert_close(ours, exact, atol=1e-10, rtol=0)


def test_gradients_are_right_twice():
    edges, scores, seeds = graph(3)
    alpha = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)

    def rank(scores, seeds, alpha):
        weights = edge_softmax(scores, edges[0], N)
        return ppr(edges, weights, seeds, restart=alpha, tolerance=1e-15)

    inputs = (scores.requires_grad_(), seeds.requires_grad_(), alpha)
    assert torch.autograd.gradcheck(rank, inputs)
    assert torch.autograd.gradgradcheck(rank, inputs)


def test_truncation_stays_within_its_bound():
    """After T steps at most `2 (1 - a)^T` of L1 error is left (Haveliwala's geometric rate)."""
    edges, weights, seeds = walks(4)
    exact, point = ppr_exact(edges, weights, seeds, restart=0.2), 0.2 * seeds
    for steps in range(1, 30):
        point = 0.2 * seeds + 0.8 * propagate(edges, point.T, weights).T
        assert float((point - exact).abs().sum(-1).max()) <= 2 * 0.8**steps
    for tolerance in (1e-2, 1e-5):
        found = ppr(edges, weights, seeds, restart=0.2, tolerance=tolerance)
        assert float((found - exact).abs().sum(-1).max()) <= tolerance


def test_a_walk_that_always_restarts_stays_at_its_seeds():
    edges, weights, seeds = walks(5)
    assert torch.equal(ppr(edges, weights, seeds, restart=1.0), seeds)


@given(st.integers(0, 2**31))
def test_renumbering_nodes_renumbers_ranks(seed):
    edges, weights, seeds = walks(seed)
    new = torch.randperm(N, generator=torch.Generator().manual_seed(seed))
    renamed = torch.empty_like(seeds)
    renamed[:, new] = seeds
    found = ppr(new[edges], weights, renamed)
    torch.testing.assert_close(found[:, new], ppr(edges, weights, seeds), atol=2e-12, rtol=0)


def test_wrong_walks_are_refused():
    edges, weights, seeds = walks(6)
    with pytest.raises(ValueError, match="restart"):
        ppr(edges, weights, seeds, restart=0.0)
    for bad in (2 * weights, -weights):
        with pytest.raises(ValueError, match="edge_softmax"):
            ppr(edges, bad, seeds)
