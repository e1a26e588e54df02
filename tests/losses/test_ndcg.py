"""Surrogates of nDCG: their limits are nDCG itself, and swaps are weighed as brute force weighs them."""

from itertools import combinations
from math import log2

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.losses.ndcg import approx_ndcg, lambda_rank, neural_ndcg, swap_changes


def ndcg(order: list[int], labels: list[int]) -> float:
    """Of the documents in this order, in plain arithmetic."""

    def dcg(documents: list[int]) -> float:
        return sum((2 ** labels[d] - 1) / log2(2 + at) for at, d in enumerate(documents))

    best = sorted(range(len(labels)), key=lambda d: -labels[d])
    return dcg(order) / dcg(best)


def case(seed: int) -> tuple[torch.Tensor, list[int], list[int]]:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randperm(6, generator=generator).double()
    labels = [3, *torch.randint(0, 4, (5,), generator=generator).tolist()]
    return scores, labels, scores.argsort(descending=True).tolist()


@given(st.integers(0, 2**31))
def test_sharp_surrogates_are_one_minus_ndcg(seed):
    scores, labels, order = case(seed)
    expected = 1 - ndcg(order, labels)
    assert approx_ndcg(scores, torch.tensor(labels), alpha=60.0).item() == pytest.approx(expected, abs=1e-9)
    found = neural_ndcg(scores, torch.tensor(labels), temperature=0.02)
    assert found.item() == pytest.approx(expected, abs=1e-9)


@given(st.integers(0, 2**31))
def test_swaps_are_weighed_as_brute_force_weighs_them(seed):
    scores, labels, order = case(seed)
    found, now = swap_changes(scores, torch.tensor(labels)), ndcg(order, labels)
    for i, j in combinations(range(6), 2):
        swapped = [{i: j, j: i}.get(document, document) for document in order]
        assert found[i, j].item() == pytest.approx(abs(ndcg(swapped, labels) - now), abs=1e-12)
        assert found[i, j] == found[j, i]


def test_the_lambda_of_a_pair_is_its_swap_times_a_sigmoid():
    scores, labels, _ = case(3)
    scores.requires_grad_()
    lambda_rank(scores, torch.tensor(labels)).backward()
    weights, expected = swap_changes(scores, torch.tensor(labels)), torch.zeros(6, dtype=torch.float64)
    for i in range(6):
        for j in range(6):
            if labels[i] > labels[j]:
                force = weights[i, j] * torch.sigmoid(scores.detach()[j] - scores.detach()[i])
                expected[i] -= force
                expected[j] += force
    torch.testing.assert_close(scores.grad, expected)


def test_soft_ranks_count_every_entry_once():
    scores, labels = torch.zeros(1, 4), torch.tensor([[1, 0, 0, 0]])
    assert approx_ndcg(scores, labels).item() == pytest.approx(1 - 1 / log2(1 + 2.5))


def test_lists_without_gain_do_not_count():
    scores, labels = torch.randn(2, 3, dtype=torch.float64), torch.tensor([[1, 0, 2], [0, 0, 0]])
    for loss in (approx_ndcg, neural_ndcg, lambda_rank):
        torch.testing.assert_close(loss(scores, labels), loss(scores[:1], labels[:1]))
        assert loss(scores[1:], labels[1:]).item() == 0
