"""Product keys: the best of all pairs, exactly, with gradients for what was hit."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.models.product_key_memory import ProductKeyMemory


def memory(seed: int = 0, **options) -> ProductKeyMemory:
    torch.manual_seed(seed)
    return ProductKeyMemory(size=64, dim=6, k=5, **options).double()


@given(seed=st.integers(0, 1000), heads=st.integers(1, 3))
def test_the_best_slots_are_those_of_brute_force(seed, heads):
    layer = memory(seed, heads=heads)
    inputs = torch.randn(4, 6, dtype=torch.float64)
    slots = layer.search(inputs)
    queries = layer.query(inputs).view(4, heads, 2, 3)
    for head in range(heads):
        first, second = layer.half_keys[head]
        every = torch.cat([first.repeat_interleave(8, 0), second.repeat(8, 1)], -1)
        scores = queries[:, head].flatten(1) @ every.T
        best = scores.topk(5)
        assert torch.equal(slots.rows[:, head], best.indices)
        torch.testing.assert_close(slots.scores[:, head], best.values)


def test_only_slots_that_are_hit_get_a_gradient():
    for sparse in (False, True):
        layer = memory(sparse=sparse)
        inputs = torch.randn(3, 2, 6, dtype=torch.float64)
        found = layer(inputs)
        assert found.shape == inputs.shape
        found.square().sum().backward()
        gradient = layer.values.grad.to_dense()
        hit = layer.usage > 0
        assert layer.values.grad.is_sparse == sparse
        assert gradient[hit].any(-1).all()
        assert not gradient[~hit].any()
        assert layer.half_keys.grad.any()


def test_it_is_the_gradient_of_its_value():
    layer = memory().eval()
    inputs = torch.randn(2, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, inputs)


def test_usage_is_counted_in_training_only():
    layer = memory().eval()
    inputs = torch.randn(3, 6, dtype=torch.float64)
    layer(inputs)
    assert layer.dead() == 1
    layer.train()(inputs)
    assert int(layer.usage.sum()) == 15
    assert layer.dead() == pytest.approx(float((layer.usage == 0).double().mean()))
    layer.forget_usage()
    assert layer.dead() == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [({"size": 60}, "square"), ({"dim": 5}, "even"), ({"k": 9}, "k=9"), ({"k": 0}, "k=0")],
)
def test_what_has_no_halves_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ProductKeyMemory(**({"size": 64, "dim": 6, "k": 5} | options))
