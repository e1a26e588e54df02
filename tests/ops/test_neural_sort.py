"""Neural sort: rows add up to 1, a cold one is the permutation, padding holds no place."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.ops.neural_sort import neural_sort


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(st.integers(0, 2**31))
def test_a_cold_sort_sorts(seed):
    scores = torch.randperm(6, generator=torch.Generator().manual_seed(seed)).double()
    order = neural_sort(scores, temperature=1e-3)
    torch.testing.assert_close(order @ scores, scores.sort(descending=True).values)
    torch.testing.assert_close(
        neural_sort(scores, temperature=3.0).sum(-1), torch.ones(6, dtype=torch.float64)
    )


@given(st.integers(0, 2**31))
def test_padding_holds_no_place(seed):
    scores = drawn(seed, 2, 5)
    wide = torch.cat([scores, torch.full((2, 2), 1e9)], 1)
    where = torch.arange(7).expand(2, 7) < 5
    found = neural_sort(wide, where=where)
    torch.testing.assert_close(found[:, :5, :5], neural_sort(scores))
    assert float(found[:, 5:].sum()) == 0
    assert float(found[..., 5:].sum()) == 0


def test_gradients_are_right_twice():
    scores = drawn(0, 2, 4).requires_grad_()
    assert torch.autograd.gradcheck(neural_sort, scores)
    assert torch.autograd.gradgradcheck(neural_sort, scores)
