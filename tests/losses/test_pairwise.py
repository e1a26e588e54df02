"""RankNet: the formula in plain arithmetic, and a gradient that adds up to 0."""

from itertools import permutations
from math import exp, log

import pytest
import torch

from retrograd.losses.pairwise import ordered_pairs, ranknet


def test_it_is_the_mean_over_ordered_pairs():
    scores, labels, sharpness = [0.3, -1.0, 2.0], [1, 0, 2], 1.7
    losses = [
        log(1 + exp(-sharpness * (scores[i] - scores[j])))
        for i, j in permutations(range(3), 2)
        if labels[i] > labels[j]
    ]
    found = ranknet(torch.tensor(scores, dtype=torch.float64), torch.tensor(labels), sharpness=sharpness)
    assert found.item() == pytest.approx(sum(losses) / 3)
    assert int(ordered_pairs(torch.tensor(labels)).sum()) == 3


def test_its_gradient_adds_up_to_0_over_each_list():
    scores = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    ranknet(scores, torch.randint(0, 3, (4, 6))).backward()
    torch.testing.assert_close(scores.grad.sum(-1), torch.zeros(4, dtype=torch.float64), atol=1e-15, rtol=0)


def test_lists_of_equals_cost_nothing():
    assert ranknet(torch.randn(2, 3), torch.ones(2, 3)).item() == 0
