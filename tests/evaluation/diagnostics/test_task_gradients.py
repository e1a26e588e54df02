"""Cosines of two tasks' gradients, against a network whose gradients are known."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from retrograd.errors import InputError
from retrograd.evaluation.diagnostics.task_gradients import gradient_cosine, gradient_of


def network():
    torch.manual_seed(0)
    return nn.ModuleDict(
        {"shared": nn.ModuleList([nn.Linear(3, 4), nn.Linear(4, 4)]), "one": nn.Linear(4, 1)}
    )


def loss(model, inputs, sign):
    hidden = torch.tanh(model["shared"][0](inputs))
    return sign * model["one"](torch.tanh(model["shared"][1](hidden))).mean()


def test_a_task_agrees_with_itself_and_fights_its_opposite():
    model, inputs = network(), torch.randn(5, 3)
    gradient = gradient_of(model, loss(model, inputs, 1.0))
    opposite = gradient_of(model, loss(model, inputs, -2.0))
    same, against = gradient_cosine(gradient, gradient), gradient_cosine(gradient, opposite)
    assert set(same) == {"shared.0", "shared.1", "one"}
    assert list(same.values()) == pytest.approx([1.0] * 3)
    assert list(against.values()) == pytest.approx([-1.0] * 3)
    assert all(weight.grad is None for weight in model.parameters())


def test_a_layer_is_the_cosine_of_all_its_weights_together():
    model = network()
    ours, theirs = (gradient_of(model, loss(model, torch.randn(5, 3), 1.0)) for _ in range(2))
    flat = [
        np.concatenate([task[f"shared.1.{part}"].ravel() for part in ("weight", "bias")])
        for task in (ours, theirs)
    ]
    expected = flat[0] @ flat[1] / np.linalg.norm(flat[0]) / np.linalg.norm(flat[1])
    assert gradient_cosine(ours, theirs)["shared.1"] == pytest.approx(expected, rel=1e-5)


def test_what_one_task_does_not_touch_is_no_number():
    model = network()
    ours = gradient_of(model, loss(model, torch.randn(5, 3), 1.0))
    theirs = gradient_of(model, model["shared"][0](torch.randn(5, 3)).sum())
    found = gradient_cosine(ours, theirs)
    assert not math.isnan(found["shared.0"])
    assert math.isnan(found["shared.1"])
    assert math.isnan(found["one"])


def test_gradients_of_two_models_are_refused():
    with pytest.raises(InputError, match="'a' has gradients of shapes"):
        gradient_cosine({"a": np.ones(2)}, {"a": np.ones(3)})
