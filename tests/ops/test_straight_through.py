"""Straight-through: the value of one, the gradient of the other; and the hard choice it is used with."""

import torch

from retrograd.ops.straight_through import hard_topk, straight_through


def test_value_and_gradient_come_from_different_tensors():
    hard = torch.tensor([1.0, 0.0], requires_grad=True)
    soft = torch.tensor([0.3, 0.7], requires_grad=True)
    value = straight_through(hard, soft)
    assert torch.equal(value, hard)
    value.backward(torch.tensor([2.0, 5.0]))
    assert hard.grad is None
    assert torch.equal(soft.grad, torch.tensor([2.0, 5.0]))


def test_a_hard_choice_marks_the_largest_and_never_the_masked():
    scores = torch.tensor([[0.1, 0.9, 0.5], [5.0, 1.0, -torch.inf]])
    assert torch.equal(hard_topk(scores, 2), torch.tensor([[0.0, 1.0, 1.0], [1.0, 1.0, 0.0]]))
    where = torch.tensor([[True, False, True], [False, False, False]])
    assert torch.equal(hard_topk(scores, 1, where=where), torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]))
    assert torch.equal(hard_topk(scores, 9)[0], torch.ones(3))
