"""Symmetric KL: zero for equal predictions, symmetric, the sum of both directions, blind to padding."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from retrograd.losses.consistency import symmetric_kl


def drawn(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, 5, generator=generator), torch.randn(2, 3, 5, generator=generator)


@given(st.integers(0, 2**31))
def test_it_is_the_sum_of_both_directions(seed):
    a, b = (logits.log_softmax(-1) for logits in drawn(seed))
    both = F.kl_div(a, b, log_target=True, reduction="none") + F.kl_div(
        b, a, log_target=True, reduction="none"
    )
    torch.testing.assert_close(symmetric_kl(a, b), both.sum(-1).mean())
    torch.testing.assert_close(symmetric_kl(a, b), symmetric_kl(b, a))
    assert symmetric_kl(a, a).item() == 0


@given(st.integers(0, 2**31))
def test_padding_and_absent_tokens_change_nothing(seed):
    a, b = drawn(seed)
    wide = [
        torch.cat([F.pad(x, (0, 2), value=-torch.inf), torch.full((2, 1, 7), -torch.inf)], 1) for x in (a, b)
    ]
    wide[0].requires_grad_()
    where = torch.arange(4).expand(2, 4) < 3
    loss = symmetric_kl(*wide, where=where)
    torch.testing.assert_close(loss, symmetric_kl(a, b))
    (gradient,) = torch.autograd.grad(loss, wide[0])
    assert torch.isfinite(gradient).all()


def test_no_position_costs_nothing():
    logits = torch.zeros(2, 3)
    assert symmetric_kl(logits, logits, where=torch.zeros(2, dtype=torch.bool)).item() == 0
