"""One battery over every way of selecting: sums, masks, batches, order, shifts, gradients and limits."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.ops.select import HOW, select
from retrograd.ops.temperature import Temperature

seeds = st.integers(0, 2**31)
ways = pytest.mark.parametrize("how", HOW)
quiet = pytest.mark.parametrize("how", [how for how in HOW if how != "gumbel_topk"])
K = 3


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def weights(scores: torch.Tensor, how: str, temperature: float = 0.7, seed: int = 0, **options):
    """Every entry's noise is the same whatever else is in the batch, as the first draws are."""
    generator = torch.Generator().manual_seed(seed)
    k = K if HOW[how].chooses_k else None
    return select(scores, how=how, temperature=temperature, k=k, generator=generator, **options)


def hard(scores: torch.Tensor, k: int) -> torch.Tensor:
    return torch.zeros_like(scores).scatter(-1, scores.topk(k, -1).indices, 1.0)


@ways
@given(seed=seeds)
def test_weights_lie_between_0_and_1_and_add_up(how, seed):
    found = weights(3 * drawn(seed, 2, 3, 9), how, seed=seed)
    assert bool(((found >= 0) & (found <= 1 + 1e-12)).all())
    wanted = K if HOW[how].chooses_k else 1
    torch.testing.assert_close(found.sum(-1), torch.full((2, 3), float(wanted), dtype=torch.float64))


@quiet
@given(seed=seeds)
def test_masked_entries_change_nothing_and_get_no_gradient(how, seed):
    scores = drawn(seed, 2, 7)
    wide = torch.cat([scores[:, :4], torch.full((2, 3), 1e9), scores[:, 4:]], 1).requires_grad_()
    where = torch.ones(2, 10, dtype=torch.bool)
    where[:, 4:7] = False
    found = weights(wide, how, where=where)
    torch.testing.assert_close(found[where].view(2, 7), weights(scores, how), atol=1e-12, rtol=0)
    assert bool((found[~where] == 0).all())
    if found.requires_grad:
        (gradient,) = torch.autograd.grad((found * drawn(seed + 1, 2, 10)).sum(), wide)
        assert bool(torch.isfinite(gradient).all())
        assert bool((gradient[~where] == 0).all())


@ways
def test_a_score_of_minus_infinity_is_a_masked_one(how):
    scores = drawn(0, 4, 6)
    where = torch.arange(6).expand(4, 6) < 5
    barred = scores.masked_fill(~where, -torch.inf)
    torch.testing.assert_close(weights(barred, how), weights(scores, how, where=where))


@ways
def test_rows_without_entries_are_zero_and_harm_nobody(how):
    scores = drawn(0, 3, 5).requires_grad_()
    where = torch.ones(3, 5, dtype=torch.bool)
    where[1] = False
    found = weights(scores, how, where=where)
    assert bool((found[1] == 0).all())
    torch.testing.assert_close(found[::2], weights(scores, how)[::2])
    if found.requires_grad:
        found[..., 0].sum().backward()
        assert bool(torch.isfinite(scores.grad).all())
        assert bool((scores.grad[1] == 0).all())


@ways
def test_rows_with_no_more_than_k_entries_give_each_its_due(how):
    scores = drawn(0, 2, 5).requires_grad_()
    where = torch.arange(5).expand(2, 5) < torch.tensor([[2], [K]])
    found = weights(scores, how, where=where)
    wanted = where.sum(-1).to(found.dtype) if HOW[how].chooses_k else torch.ones(2, dtype=torch.float64)
    torch.testing.assert_close(found.sum(-1), wanted)


@ways
@pytest.mark.parametrize("shape", [(0, 4), (2, 0), (3, 0, 4)])
def test_nothing_to_select_from_is_no_error(how, shape):
    assert weights(torch.zeros(shape), how).shape == shape


@quiet
@given(seed=seeds)
def test_permuting_entries_permutes_weights(how, seed):
    scores = drawn(seed, 2, 8)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(weights(scores, how)[:, order], weights(scores[:, order], how))


@quiet
@given(seed=seeds)
def test_rows_do_not_know_each_other(how, seed):
    scores = drawn(seed, 4, 8) * torch.tensor([[0.1], [1.0], [10.0], [1000.0]])
    together = weights(scores, how)
    for row in range(4):
        torch.testing.assert_close(together[row], weights(scores[row], how), atol=1e-13, rtol=0)


@quiet
@given(seed=seeds, shift=st.floats(-1000, 1000))
def test_a_shift_of_all_scores_changes_nothing(how, seed, shift):
    scores = drawn(seed, 2, 8)
    torch.testing.assert_close(weights(scores + shift, how), weights(scores, how), atol=1e-9, rtol=0)


@quiet
@given(seed=seeds)
def test_a_temperature_near_0_is_a_hard_choice(how, seed):
    scores = torch.randperm(8, generator=torch.Generator().manual_seed(seed)).double()
    wanted = hard(scores, K if HOW[how].chooses_k else 1)
    torch.testing.assert_close(weights(scores, how, temperature=0.02), wanted, atol=1e-9, rtol=0)


@pytest.mark.parametrize("how", [how for how, way in HOW.items() if way.smooth])
def test_gradients_of_smooth_ways_are_right_twice_in_scores_and_temperature(how):
    scores = drawn(5, 2, 6).requires_grad_()
    temperature = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    inputs = (scores, temperature)
    assert torch.autograd.gradcheck(lambda s, t: weights(s, how, t), inputs)
    assert torch.autograd.gradgradcheck(lambda s, t: weights(s, how, t), inputs)


@pytest.mark.parametrize("how", [how for how, way in HOW.items() if way.smooth and how != "gumbel_topk"])
def test_forward_and_backward_mode_agree(how):
    scores = drawn(5, 2, 6)
    forward, backward = (
        mode(lambda s: weights(s, how))(scores) for mode in (torch.func.jacfwd, torch.func.jacrev)
    )
    torch.testing.assert_close(forward, backward, atol=1e-12, rtol=0)


def test_straight_through_is_hard_forward_and_its_relaxation_backward():
    scores, pull = drawn(1, 2, 6).requires_grad_(), drawn(2, 2, 6)
    through, relaxed = weights(scores, "straight_through"), weights(scores, "soft_topk")
    assert torch.equal(through, weights(scores, "hard"))
    gradients = [torch.autograd.grad((value * pull).sum(), scores)[0] for value in (through, relaxed)]
    torch.testing.assert_close(*gradients)
    assert not weights(scores, "hard").requires_grad


def test_half_precision_is_raised_and_a_learnt_temperature_is_taken():
    scores = drawn(0, 2, 6)
    assert weights(scores.half(), "softmax").dtype == torch.float32
    temperature = Temperature(init=0.5)
    select(scores, temperature=temperature)[0, 0].backward()
    assert temperature.log_value.grad is not None


@pytest.mark.parametrize(
    "options, message",
    [
        ({"how": "best"}, "choose one of softmax, sparsemax"),
        ({"how": "soft_topk"}, "k belongs to soft_topk"),
        ({"how": "softmax", "k": 2}, "and to no other"),
        ({"how": "hard", "k": 0}, "at least 1"),
        ({"temperature": 0.0}, "above 0"),
        ({"how": "entmax", "alpha": 0.5}, "at least 1"),
    ],
)
def test_a_wrong_option_says_what_is_wanted(options, message):
    with pytest.raises(ValueError, match=message):
        select(torch.zeros(3), **options)
