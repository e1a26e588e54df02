"""Asking a model leaves the mode it was in, even when asking fails."""

import pytest
import torch
from torch import nn

from retrograd.models.inference import device_of, without_dropout


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_comes_back(training):
    model = nn.Dropout().train(training)
    with pytest.raises(TypeError), without_dropout(model):
        model("no tensor")
    assert model.training == training


def test_inside_nothing_is_dropped():
    model = nn.Dropout(0.9).train()
    with without_dropout(model):
        assert torch.equal(model(torch.ones(50)), torch.ones(50))


def test_a_model_without_weights_is_on_the_processor():
    assert device_of(nn.Dropout()) == torch.device("cpu")
    assert device_of(nn.Linear(1, 1, device="meta")) == torch.device("meta")
