"""Schedules: rates stay between 0 and the peak, decay ends low, the average lies between its inputs."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from retrograd.recipe import DECAYS, Stage
from retrograd.training.schedule import adamw, learning_rate, update_average


def stage(**settings) -> Stage:
    return Stage(name="s", objective=None, examples=(), **settings)


@given(st.sampled_from(DECAYS), st.floats(0, 1), st.integers(1, 200))
def test_the_rate_rises_to_the_peak_and_then_never_rises(decay, warmup, steps):
    config = stage(decay=decay, warmup=warmup, learning_rate=2.0)
    rates = [learning_rate(config, step, steps) for step in range(steps)]
    top = rates.index(max(rates))
    assert all(0 < rate <= 2.0 for rate in rates)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert max(rates) == pytest.approx(2.0)


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_decay_ends_near_zero(decay):
    assert learning_rate(stage(decay=decay, learning_rate=1.0), 999, 1000) < 0.01


def test_only_matrices_that_are_no_embeddings_decay():
    model = nn.Sequential(nn.Embedding(3, 2), nn.Linear(2, 2), nn.LayerNorm(2))
    decaying, free = adamw(model, stage(weight_decay=0.5)).param_groups
    assert [id(weight) for weight in decaying["params"]] == [id(model[1].weight)]
    assert decaying["weight_decay"] == 0.5
    assert free["weight_decay"] == 0
    assert len(free["params"]) == 4


def test_frozen_weights_are_left_alone():
    model = nn.Linear(2, 2).requires_grad_(False)
    model.bias.requires_grad_(True)
    (group,) = adamw(model, stage()).param_groups
    assert group["params"] == [model.bias]


@given(st.integers(0, 1000), st.floats(0, 0.999))
def test_the_average_moves_towards_the_weights(step, decay):
    average = [torch.zeros(2)]
    update_average(average, [torch.ones(2)], decay=decay, step=step)
    expected = 1 - min(decay, (1 + step) / (10 + step))
    torch.testing.assert_close(average[0], torch.full((2,), expected))
