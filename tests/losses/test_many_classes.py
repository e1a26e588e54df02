"""The blockwise softmax: what the whole matrix gives, in value and gradient, whatever the blocks."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from retrograd.losses import inner_product_cross_entropy
from retrograd.losses.many_classes import sibling_cross_entropy


def drawn(states, classes, seed, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    found = torch.randn(states, 5, generator=generator) * scale, torch.randn(classes, 5, generator=generator)
    targets = torch.randint(classes, (states,), generator=generator)
    return *(tensor.requires_grad_() for tensor in found), targets


@given(st.integers(1, 9), st.integers(1, 7), st.sampled_from([1, 7, 20, 10_000]), st.integers(0, 99))
def test_value_and_gradients_are_those_of_the_whole_matrix(states, classes, at_once, seed):
    one, two, targets = drawn(states, classes, seed)
    whole = F.cross_entropy(one @ two.T, targets)
    expected = torch.autograd.grad(3 * whole, (one, two))
    found = inner_product_cross_entropy(one, two, targets, at_once=at_once)
    torch.testing.assert_close(found, whole)
    torch.testing.assert_close(torch.autograd.grad(3 * found, (one, two)), expected, atol=1e-5, rtol=1e-4)


def test_large_scores_do_not_overflow():
    one, two, targets = drawn(4, 6, 0, scale=1e4)
    found = inner_product_cross_entropy(one, two, targets)
    torch.testing.assert_close(found, F.cross_entropy(one @ two.T, targets))
    assert all(torch.isfinite(part).all() for part in torch.autograd.grad(found, (one, two)))


def test_no_state_costs_nothing():
    one, two, targets = drawn(0, 6, 0)
    found = inner_product_cross_entropy(one, two, targets)
    found.backward()
    assert found.item() == 0
    assert two.grad.abs().sum() == 0


def test_only_what_learns_gets_a_gradient():
    one, two, targets = drawn(3, 4, 0)
    inner_product_cross_entropy(one, two.detach(), targets).backward()
    assert one.grad.abs().sum() > 0
    with torch.no_grad():
        assert inner_product_cross_entropy(one, two, targets).requires_grad is False


def test_it_does_not_pretend_to_have_a_second_gradient():
    one, two, targets = drawn(3, 4, 0)
    found = inner_product_cross_entropy(one, two, targets)
    (first,) = torch.autograd.grad(found, one, create_graph=True)
    with pytest.raises(RuntimeError):
        first.sum().backward()


@given(st.integers(0, 9), st.integers(1, 4), st.integers(0, 99))
def test_siblings_are_compared_with_siblings_only(states, groups, seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 4, groups)
    starts = torch.from_numpy(np.concatenate([[0], np.cumsum(sizes)]))
    one, two, _ = drawn(states, int(sizes.sum()), seed)
    member = torch.from_numpy(rng.integers(0, groups, states))
    targets = starts[member] + torch.from_numpy(rng.integers(0, 3, states)) % torch.from_numpy(sizes)[member]
    group_of = torch.from_numpy(np.repeat(np.arange(groups), sizes))
    scores = (one @ two.T).masked_fill(group_of != member[:, None], -torch.inf)
    whole = F.cross_entropy(scores, targets, reduction="sum") / max(states, 1)
    expected = torch.autograd.grad(whole, (one, two))
    found = sibling_cross_entropy(one, two, starts, member, targets)
    torch.testing.assert_close(found, whole)
    torch.testing.assert_close(torch.autograd.grad(found, (one, two)), expected, atol=1e-5, rtol=1e-4)
