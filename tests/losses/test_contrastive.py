"""In-batch contrastive loss: masked candidates change nothing, the positive is always a candidate."""

from math import exp, log

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.losses.contrastive import in_batch_contrastive, residual_contrastive


@given(st.integers(0, 2**31))
def test_masked_candidates_change_nothing(seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(3, 4, generator=generator)
    positives = torch.randint(4, (3,), generator=generator)
    wide = torch.cat([scores, torch.full((3, 2), 1e9)], dim=1)
    where = torch.arange(6).expand(3, 6) < 4
    torch.testing.assert_close(
        in_batch_contrastive(wide, positives, where=where), in_batch_contrastive(scores, positives)
    )


def test_the_positive_counts_even_where_it_is_masked():
    scores = torch.tensor([[1.0, 0.0]])
    loss = in_batch_contrastive(scores, torch.tensor([0]), where=torch.tensor([[False, True]]))
    assert loss.item() == pytest.approx(log(1 + exp(-1.0)))


def test_an_empty_batch_costs_nothing():
    assert in_batch_contrastive(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)).item() == 0


def residual_case(seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((3, 5)), rng.standard_normal((4, 3, 5)), np.array([2, 0, 2])


def test_the_residual_contrast_is_its_formula_in_float64():
    queries, parts, positives = residual_case()
    expected = 0.0
    for level in range(3):
        sums = parts[:, : level + 1].sum(axis=1)
        scores = 7 * queries @ sums.T
        scores /= np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(sums, axis=1)
        expected += (np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(3), positives]).mean()
    found = residual_contrastive(*map(torch.tensor, (queries, parts, positives)), scale=7.0)
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_a_part_learns_from_its_own_term_alone():
    queries, parts, positives = map(torch.tensor, residual_case())
    together, alone = parts.clone().requires_grad_(), parts.clone().requires_grad_()
    residual_contrastive(queries, together, positives).backward()
    for level in range(3):
        vector = alone[:, :level].sum(dim=1).detach() + alone[:, level]
        scores = torch.nn.functional.normalize(queries, dim=-1) @ torch.nn.functional.normalize(vector).T
        in_batch_contrastive(scores, positives).backward()
    torch.testing.assert_close(together.grad, alone.grad)


def test_one_part_is_the_plain_contrast_and_masks_hold_for_all():
    queries, parts, positives = map(torch.tensor, residual_case())
    unit = torch.nn.functional.normalize(parts[:, 0], dim=-1)
    where = torch.tensor([True, True, True, False]).expand(3, 4)
    plain = in_batch_contrastive(torch.nn.functional.normalize(queries) @ unit.T, positives, where=where)
    torch.testing.assert_close(residual_contrastive(queries, parts[:, :1], positives, where=where), plain)
    torch.testing.assert_close(
        residual_contrastive(queries, parts, positives, where=where),
        residual_contrastive(queries, parts[:3], positives),
    )
