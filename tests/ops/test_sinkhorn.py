"""Sinkhorn: wanted sums, cells and rows that stay empty, the limit of an assignment, gradients."""

import pytest
import torch

from retrograd.ops.sinkhorn import sinkhorn


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("seed", range(5))
def test_rows_and_columns_have_the_wanted_sums(seed):
    rows, columns = drawn(seed, 2, 4).softmax(-1), drawn(seed + 1, 2, 6).softmax(-1)
    plan = sinkhorn(drawn(seed + 2, 2, 4, 6), rows=rows, columns=columns, steps=300)
    torch.testing.assert_close(plan.sum(-1), rows, atol=1e-12, rtol=0)
    torch.testing.assert_close(plan.sum(-2), columns, atol=1e-6, rtol=0)
    balanced = sinkhorn(drawn(seed, 3, 6), steps=300)
    torch.testing.assert_close(balanced.sum(0), torch.full((6,), 0.5, dtype=torch.float64), atol=1e-6, rtol=0)


def test_cells_rows_and_columns_that_are_left_out_change_nothing():
    scores = drawn(0, 3, 3)
    wide = torch.full((4, 5), 1e9, dtype=torch.float64)
    wide[:3, :3] = scores
    wide.requires_grad_()
    where = torch.zeros(4, 5, dtype=torch.bool)
    where[:3, :3] = True
    rows, columns = where.any(-1).double(), where.any(-2).double()
    plan = sinkhorn(wide, rows=rows, columns=columns, where=where)
    torch.testing.assert_close(plan[:3, :3], sinkhorn(scores))
    assert float(plan.masked_fill(where, 0.0).detach().sum()) == 0
    plan.square().sum().backward()
    assert bool(torch.isfinite(wide.grad).all())
    assert bool((wide.grad[~where] == 0).all())


def test_a_cold_plan_is_the_best_assignment():
    scores = torch.tensor([[1.0, 0.9, 0.0], [0.9, 0.0, 0.0], [0.0, 0.0, 0.5]], dtype=torch.float64)
    expected = torch.tensor([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close(sinkhorn(scores / 0.1, steps=200), expected, atol=0.05, rtol=0)


def test_gradients_are_right_twice():
    scores, rows = drawn(1, 3, 4).requires_grad_(), drawn(2, 3).softmax(-1).requires_grad_()
    assert torch.autograd.gradcheck(lambda s, r: sinkhorn(s, rows=r, steps=5), (scores, rows))
    assert torch.autograd.gradgradcheck(lambda s, r: sinkhorn(s, rows=r, steps=5), (scores, rows))
