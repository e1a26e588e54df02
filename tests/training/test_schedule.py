"""Schedules: rates stay between 0 and the peak, decay ends low, the average lies between its inputs."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from retrograd.recipe import DECAYS, Rate, Stage
from retrograd.training.schedule import adamw, learning_rate, trainable, update_average


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
    groups = adamw(model, stage(weight_decay=0.5)).param_groups
    decaying, free = sorted(groups, key=lambda group: -group["weight_decay"])
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


def test_parts_learn_at_their_own_pace_and_the_first_that_fits_counts():
    model = nn.ModuleDict({"body": nn.Linear(2, 2, bias=False), "head": nn.Linear(2, 2, bias=False)})
    rates = (Rate(part="body", factor=0.1, decays=False), Rate(part="", factor=3.0))
    groups = adamw(model, stage(rates=rates, weight_decay=0.5)).param_groups
    found = {group["factor"]: (group["params"], group["weight_decay"]) for group in groups}
    assert found[0.1][0][0] is model["body"].weight
    assert found[0.1][1] == 0.0
    assert found[3.0][0][0] is model["head"].weight
    assert found[3.0][1] == 0.5


def test_a_part_at_rate_zero_does_not_learn():
    model = nn.ModuleDict({"body": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    assert set(trainable(model, stage(rates=(Rate(part="body", factor=0.0),)))) == {
        "head.weight",
        "head.bias",
    }
    with pytest.raises(ValueError, match="factor"):
        Rate(part="body", factor=-1.0)
