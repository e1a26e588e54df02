"""Attention is one selection and one aggregation: the same as torch's own, forward and backward."""

import pytest
import torch
from torch.nn import functional as F

from retrograd.ops.attention import attention


def inputs(*lead: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((5, 8), (7, 8), (7, 3))
    return [
        torch.randn(*lead, *shape, generator=generator, dtype=torch.float64, requires_grad=True)
        for shape in shapes
    ]


@pytest.mark.parametrize("lead", [(), (2,), (2, 4)])
@pytest.mark.parametrize("masked", [False, True])
def test_it_equals_scaled_dot_product_attention(lead, masked):
    tensors = inputs(*lead)
    where = torch.ones(5, 7, dtype=torch.bool).tril(2) if masked else None
    ours = attention(*tensors, where=where)
    theirs = F.scaled_dot_product_attention(*tensors, attn_mask=where)
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)
    pull = torch.randn_like(ours)
    for found, expected in zip(
        *(torch.autograd.grad((value * pull).sum(), tensors) for value in (ours, theirs)), strict=True
    ):
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def test_a_cold_temperature_looks_up_the_nearest_key():
    queries, keys, values = inputs()
    nearest = values[(queries @ keys.T).argmax(-1)]
    torch.testing.assert_close(attention(queries, keys, values, temperature=1e-6), nearest)
    torch.testing.assert_close(attention(queries, keys, values, how="hard", k=1), nearest)


def test_a_query_that_sees_no_key_gets_nothing():
    queries, keys, values = inputs()
    where = torch.ones(5, 7, dtype=torch.bool)
    where[2] = False
    found = attention(queries, keys, values, where=where)
    assert torch.equal(found[2], torch.zeros(3, dtype=torch.float64))
    found.sum().backward()
    assert bool(torch.isfinite(queries.grad).all())
