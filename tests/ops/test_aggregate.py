"""Mixtures: the weighted sum, and parts that merge into exactly what they were cut from."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.ops.aggregate import aggregate, merge, part


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_shared_and_own_values_are_weighed_alike_and_padding_is_never_looked_at():
    weights, values = drawn(0, 2, 3, 5), drawn(1, 5, 4)
    expected = torch.einsum("abk,kd->abd", weights, values)
    torch.testing.assert_close(aggregate(weights, values), expected)
    torch.testing.assert_close(aggregate(weights, values.expand(2, 3, 5, 4)), expected)
    where = torch.tensor([True, True, False, True, False])
    holes = values.masked_fill(~where.unsqueeze(-1), torch.nan)
    kept = aggregate(weights[..., where], values[where])
    torch.testing.assert_close(aggregate(weights, holes, where=where), kept)


@given(st.integers(0, 2**31), st.floats(0.1, 300))
def test_merged_parts_are_one_softmax_forward_and_backward(seed, spread):
    logits, values, pull = (spread * drawn(seed, 2, 9)), drawn(seed + 1, 2, 9, 3), drawn(seed + 2, 2, 3)
    logits.requires_grad_(), values.requires_grad_()
    cuts = (slice(0, 4), slice(4, 4), slice(4, 5), slice(5, 9))
    merged = merge([part(logits[:, cut], values[:, cut]) for cut in cuts])
    whole = (logits.softmax(-1).unsqueeze(-1) * values).sum(-2)
    torch.testing.assert_close(merged.mean(), whole, atol=1e-12, rtol=0)
    torch.testing.assert_close(merged.log_total(), logits.logsumexp(-1), atol=1e-12, rtol=1e-12)
    losses = [
        (mean * pull).sum() + total.sum()
        for mean, total in ((merged.mean(), merged.log_total()), (whole, logits.logsumexp(-1)))
    ]
    for found, expected in zip(
        *(torch.autograd.grad(loss, (logits, values)) for loss in losses), strict=True
    ):
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)


def test_merging_is_associative_and_its_gradients_are_right_twice():
    one, two, three = (part(drawn(s, 2, 4), drawn(s + 9, 2, 4, 3)) for s in range(3))
    for left, right in zip(merge([merge([one, two]), three]), merge([one, merge([two, three])]), strict=True):
        torch.testing.assert_close(left, right, atol=1e-14, rtol=1e-14)

    def mixture(logits, values):
        return merge([part(logits[:, :2], values[:, :2]), part(logits[:, 2:], values[:, 2:])]).mean()

    inputs = (drawn(1, 2, 5).requires_grad_(), drawn(2, 2, 5, 3).requires_grad_())
    assert torch.autograd.gradcheck(mixture, inputs)
    assert torch.autograd.gradgradcheck(mixture, inputs)


def test_entries_that_do_not_count_leave_no_trace():
    logits, values = drawn(0, 3, 4).requires_grad_(), drawn(1, 3, 4, 2)
    where = torch.tensor([[True, True, False, True], [False] * 4, [True] * 4])
    found = merge([part(logits, values.masked_fill(~where.unsqueeze(-1), torch.nan), where=where)])
    expected = (logits[0, where[0]].softmax(-1).unsqueeze(-1) * values[0, where[0]]).sum(0)
    torch.testing.assert_close(found.mean()[0], expected)
    assert torch.equal(found.mean()[1], torch.zeros(2, dtype=torch.float64))
    assert float(found.log_total()[1].detach()) == -torch.inf
    found.mean().sum().backward()
    assert bool(torch.isfinite(logits.grad).all())
    assert bool((logits.grad[~where] == 0).all())
