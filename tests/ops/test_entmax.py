"""Sparse softmaxes: the exact ones against bisection and projection, the certificate, the ends of alpha."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.ops.entmax import entmax, sparsemax, support_size


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("alpha", [1.5, 2.0])
@given(seed=st.integers(0, 2**31), spread=st.floats(0.01, 20))
def test_exact_thresholds_are_those_of_bisection(alpha, seed, spread):
    logits = spread * drawn(seed, 2, 12)
    torch.testing.assert_close(
        entmax(logits, alpha=alpha), entmax(logits, alpha=alpha + 1e-13), atol=1e-9, rtol=0
    )


@given(st.integers(0, 2**31))
def test_sparsemax_is_the_nearest_point_of_the_simplex(seed):
    logits = drawn(seed, 8)
    nearest = (sparsemax(logits) - logits).square().sum()
    for other in torch.rand(50, 8, dtype=torch.float64):
        assert float(nearest) <= float((other / other.sum() - logits).square().sum())


def test_alpha_1_is_softmax_and_a_large_alpha_is_sparser():
    logits = drawn(0, 3, 30)
    torch.testing.assert_close(entmax(logits, alpha=1.0), logits.softmax(-1))
    torch.testing.assert_close(entmax(logits, alpha=1.0001), logits.softmax(-1), atol=1e-3, rtol=0)
    sizes = [int(support_size(entmax(logits, alpha=alpha)).sum()) for alpha in (1.0, 1.3, 1.5, 2.0, 4.0)]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("alpha", [1.5, 2.0, 1.7])
def test_a_zero_among_the_largest_certifies_all_the_rest(alpha):
    """500 rows: once one of the largest K has weight 0, the weights over them are those over everything."""
    logits = 2 * drawn(1, 500, 300)
    everything, certified = entmax(logits, alpha=alpha), 0
    for kept in (5, 20, 80):
        top = logits.topk(kept, -1)
        weights = entmax(top.values, alpha=alpha)
        sure = support_size(weights) < kept
        certified += int(sure.sum())
        full = torch.zeros_like(logits).scatter(-1, top.indices, weights)
        torch.testing.assert_close(full[sure], everything[sure], atol=1e-12, rtol=0)
    assert certified > 500


def test_a_support_larger_than_the_first_sort_is_found():
    logits = 1e-4 * drawn(2, 2, 5000)
    for alpha in (1.5, 2.0):
        weights = entmax(logits, alpha=alpha)
        assert int(support_size(weights).min()) > 64
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("alpha", [1.0, 1.3, 1.5, 2.0, 2.5])
def test_gradients_are_right_for_every_alpha(alpha):
    logits = drawn(3, 2, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: entmax(x, alpha=alpha), logits)
    assert torch.autograd.gradgradcheck(lambda x: entmax(x, alpha=alpha), logits)
