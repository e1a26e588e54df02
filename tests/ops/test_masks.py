"""Masked softmaxes: what is masked is absent, and a row of nothing has no NaN in value or gradient."""

import torch

from retrograd.ops.masks import cleared, log_softmax, log_total, masked

WHERE = torch.tensor([[True, False, True], [False, False, False]])


def test_masked_entries_are_absent():
    logits = torch.tensor([[1.0, 99.0, 2.0], [1.0, 2.0, 3.0]])
    expected = torch.tensor([1.0, 2.0])
    torch.testing.assert_close(log_total(logits, WHERE)[0], expected.logsumexp(0))
    torch.testing.assert_close(log_softmax(logits, WHERE)[0, [0, 2]], expected.log_softmax(0))
    weights = cleared(masked(logits, WHERE).softmax(-1), WHERE)
    torch.testing.assert_close(weights[0, [0, 2]], expected.softmax(0))
    assert torch.equal(weights[1], torch.zeros(3))
    assert float(log_total(torch.tensor([-torch.inf, 3.0]))) == 3.0


def test_a_row_of_nothing_has_finite_gradients():
    logits = torch.zeros(2, 3, requires_grad=True)
    (cleared(masked(logits, WHERE).softmax(-1), WHERE).sum() + log_total(logits, WHERE).sum()).backward()
    assert bool(torch.isfinite(logits.grad).all())
    assert bool((logits.grad[~WHERE] == 0).all())
