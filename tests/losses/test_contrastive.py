"""In-batch contrastive loss: masked candidates change nothing, the positive is always a candidate."""

import itertools
from math import exp, log

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.losses.contrastive import (
    drawn_log_weight,
    in_batch_contrastive,
    infonce,
    residual_contrastive,
    true_negatives,
)


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


def contrast_case(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 5, generator=generator, dtype=torch.float64), torch.tensor([1, 4, 0])


def test_the_gradient_of_the_contrast_is_probability_minus_one_hot_over_the_temperature():
    scores, positives = contrast_case()
    scores.requires_grad_()
    infonce(scores, positives, temperature=0.3).backward()
    one_hot = torch.nn.functional.one_hot(positives, 5)
    expected = ((scores.detach() / 0.3).softmax(-1) - one_hot) / 0.3 / 3
    torch.testing.assert_close(scores.grad, expected, atol=1e-12, rtol=0)


def test_weighted_draws_are_unbiased_for_the_sum_over_everything():
    """Over all pairs of draws: the mean of `exp(loss) * exp(positive)` is the sum over all documents."""
    scores, chance = torch.randn(6, dtype=torch.float64), torch.rand(5, dtype=torch.float64) + 0.1
    chance, total = chance / chance.sum(), 0.0
    for pair in itertools.product(range(5), repeat=2):
        negatives = torch.tensor(pair)
        row = torch.cat([scores[:1], scores[1:][negatives]]).unsqueeze(0)
        weight = torch.cat([torch.zeros(1, dtype=torch.float64), drawn_log_weight(chance[negatives], 2)])
        loss = infonce(row, torch.tensor([0]), log_weight=weight)
        total += float(chance[negatives].prod()) * exp(float(loss) + float(scores[0]))
    assert total == pytest.approx(float(scores.exp().sum()), rel=1e-12)


def test_masking_a_duplicate_is_deleting_it():
    scores, _ = contrast_case()
    documents, positives = torch.tensor([7, 8, 9, 7, 6]), torch.tensor([0, 1, 2])
    where = true_negatives(documents, positives)
    without = torch.cat([scores[:, :3], scores[:, 4:]], dim=1)
    rows = [infonce(scores[:1], positives[:1], where=where[:1]), infonce(without[:1], positives[:1])]
    torch.testing.assert_close(*rows)
    assert where.sum(1).tolist() == [4, 5, 5]
    relevant = torch.zeros(3, 5, dtype=torch.bool)
    relevant[1, 1] = relevant[1, 4] = True
    assert true_negatives(documents, positives, relevant=relevant)[1].tolist() == [
        True,
        True,
        True,
        True,
        False,
    ]


def test_the_weight_of_the_positive_is_not_looked_at():
    scores, positives = contrast_case()
    weight = torch.zeros(3, 5, dtype=torch.float64).scatter(1, positives.unsqueeze(1), 99.0)
    torch.testing.assert_close(infonce(scores, positives, log_weight=weight), infonce(scores, positives))
