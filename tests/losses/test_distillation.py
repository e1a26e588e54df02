"""Listwise distillation: the formula in float64, blind to padding, zero where student and teacher agree."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.losses.distillation import listwise_distillation


def lists(seed: int, rows: int = 3, entries: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(rows, entries, generator=generator, dtype=torch.float64) for _ in range(2))


def softmax(values: np.ndarray) -> np.ndarray:
    return np.exp(values) / np.exp(values).sum()


@given(st.integers(0, 2**31), st.floats(0.2, 5))
def test_it_is_the_divergence_of_the_two_softmaxes(seed, temperature):
    scores, teacher = lists(seed)
    expected = 0.0
    for student_row, teacher_row in zip(scores.numpy(), teacher.numpy(), strict=True):
        p, q = softmax(teacher_row / temperature), softmax(student_row)
        expected += float((p * np.log(p / q)).sum()) / len(scores)
    loss = listwise_distillation(scores, teacher, temperature=temperature)
    assert loss.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(st.integers(0, 2**31))
def test_padding_and_empty_lists_change_nothing(seed):
    scores, teacher = lists(seed)
    wide_scores = torch.cat([scores, torch.full((3, 2), 1e9)], 1)
    wide_teacher = torch.cat([teacher, torch.full((3, 2), -torch.inf)], 1)
    more = torch.zeros(2, 6, dtype=torch.float64)
    where = torch.zeros(5, 6, dtype=torch.bool)
    where[:3, :4] = True
    padded = listwise_distillation(
        torch.cat([wide_scores, more]), torch.cat([wide_teacher, more]), where=where
    )
    torch.testing.assert_close(padded, listwise_distillation(scores, teacher))


@given(st.integers(0, 2**31), st.floats(-5, 5))
def test_a_shift_of_either_side_changes_nothing_and_agreement_is_zero(seed, shift):
    scores, teacher = lists(seed)
    torch.testing.assert_close(
        listwise_distillation(scores + shift, teacher - shift), listwise_distillation(scores, teacher)
    )
    assert listwise_distillation(teacher / 2 + shift, teacher, temperature=2.0).item() == pytest.approx(
        0, abs=1e-9
    )


def test_the_gradient_is_the_difference_of_the_two_softmaxes():
    scores, teacher = lists(1)
    where = torch.ones(3, 4, dtype=torch.bool)
    where[1] = False
    scores.requires_grad_()
    listwise_distillation(scores, teacher, where=where).backward()
    expected = (scores.detach().softmax(1) - teacher.softmax(1)) / 2
    torch.testing.assert_close(scores.grad, expected * where)


def test_no_list_costs_nothing():
    nothing = torch.zeros(0, 3)
    assert listwise_distillation(nothing, nothing).item() == 0
    scores = torch.zeros(2, 3, requires_grad=True)
    loss = listwise_distillation(scores, torch.zeros(2, 3), where=torch.zeros(2, 3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(scores.grad, torch.zeros(2, 3))
