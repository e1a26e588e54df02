"""The implicit derivative: the Jacobian of a softmax from its weights alone, under every transform."""

import torch

from retrograd.ops.fixed_sum import fixed_sum


def softmax(logits: torch.Tensor) -> torch.Tensor:
    return fixed_sum(logits, lambda x: x.softmax(-1), lambda weights: weights)


def test_a_softmax_whose_solver_is_hidden_has_the_same_derivatives():
    logits = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(softmax, logits, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(softmax, logits)
    per_row = torch.func.vmap(torch.func.jacrev(softmax))
    torch.testing.assert_close(
        per_row(logits), torch.func.vmap(torch.func.jacrev(lambda x: x.softmax(-1)))(logits)
    )
    torch.testing.assert_close(torch.func.vmap(softmax, in_dims=1)(logits), logits.T.softmax(-1))


def test_a_row_that_nothing_moves_has_gradient_0():
    logits = torch.zeros(2, 3, requires_grad=True)
    fixed_sum(logits, torch.ones_like, torch.zeros_like).sum().backward()
    assert torch.equal(logits.grad, torch.zeros(2, 3))
