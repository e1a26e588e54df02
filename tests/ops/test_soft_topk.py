"""Soft top-k: the sum is k to float precision at any scale, the hard limit, and far rows that stay exact."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.ops.soft_topk import soft_topk


def drawn(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("dtype, precision", [(torch.float32, 2e-5), (torch.float64, 1e-14)])
def test_weights_add_up_to_k_at_every_size_scale_and_offset(dtype, precision):
    for n, temperature, offset in itertools.product((3, 40, 3000), (10.0, 0.1, 1e-3, 1e-6), (0.0, 100.0)):
        scores = drawn(n, 3, n, dtype=dtype) + offset
        for k in {1, 2, n - 1, n / 2, n / 10}:
            total = soft_topk(scores, k, temperature=temperature).double().sum(-1)
            assert float((total - k).abs().max()) <= precision * k, (n, k, temperature, offset)


@given(st.integers(0, 2**31), st.integers(1, 9), st.floats(0.05, 5))
def test_it_is_a_sigmoid_of_distances_to_one_threshold(seed, k, temperature):
    scores = drawn(seed, 10)
    weights = soft_topk(scores, k, temperature=temperature)
    thresholds = (scores / temperature - torch.logit(weights))[(weights > 1e-9) & (weights < 1 - 1e-6)]
    assert float(thresholds.max() - thresholds.min()) < 1e-5 if len(thresholds) else True


def test_at_a_temperature_of_a_thousandth_it_is_the_hard_choice():
    scores = torch.stack([torch.randperm(40, generator=torch.Generator().manual_seed(s)) for s in range(50)])
    scores = scores.double() / 40
    hard = torch.zeros_like(scores).scatter(-1, scores.topk(7, -1).indices, 1.0)
    assert float((soft_topk(scores, 7, temperature=1e-3) - hard).abs().max()) < 1e-5
    assert float((soft_topk(scores, 7, temperature=1e-4) - hard).abs().max()) < 1e-12


def test_ties_for_the_last_place_share_it():
    weights = soft_topk(torch.tensor([5.0, 1.0, 1.0, 1.0, -5.0], dtype=torch.float64), 2, temperature=1e-3)
    expected = torch.tensor([1, 1 / 3, 1 / 3, 1 / 3, 0], dtype=torch.float64)
    torch.testing.assert_close(weights, expected)


def test_equal_scores_share_k_evenly():
    torch.testing.assert_close(soft_topk(torch.full((2, 8), 3.0), 2.5), torch.full((2, 8), 2.5 / 8))


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.01])
def test_a_long_row_has_the_threshold_that_bisection_finds(temperature):
    scores = drawn(3, 2, 4000)
    low, high = scores.amin(-1, keepdim=True) - 40, scores.amax(-1, keepdim=True) + 40
    for _ in range(100):
        middle = (low + high) / 2
        heavy = torch.sigmoid((scores - middle) / temperature).sum(-1, keepdim=True) > 25
        low, high = torch.where(heavy, middle, low), torch.where(heavy, high, middle)
    expected = torch.sigmoid((scores - low) / temperature)
    torch.testing.assert_close(soft_topk(scores, 25, temperature=temperature), expected, atol=1e-10, rtol=0)


def test_sorted_periodic_and_heavy_tailed_rows_are_no_harder():
    steps = torch.arange(4000.0)
    for row in (
        steps,
        -steps,
        steps % 7,
        (steps % 8 == 0) * 1e6,
        steps.square(),
        -torch.tan(steps),
        steps * 1e-30,
    ):
        for temperature in (100.0, 1.0, 1e-3):
            total = soft_topk(row, 50, temperature=temperature).double().sum()
            assert float(total) == pytest.approx(50, rel=5e-5)


def test_a_capacity_that_is_not_above_0_is_refused():
    for options in ({"k": 0}, {"k": 1, "temperature": 0.0}, {"k": float("nan")}):
        with pytest.raises(ValueError, match="above 0"):
            soft_topk(torch.zeros(3), **options)


def test_rows_of_nan_end_and_leave_the_others_alone():
    scores = drawn(0, 3, 20)
    scores[1] = torch.nan
    found = soft_topk(scores, 4)
    torch.testing.assert_close(found[::2], soft_topk(scores[::2], 4), atol=1e-14, rtol=0)
