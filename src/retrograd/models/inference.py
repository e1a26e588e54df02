"""A model as those ask it who do not train it: without dropout, and on the device it is on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def without_dropout(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards the mode there was."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def device_of(model: nn.Module) -> torch.device:
    """Where a model's weights are; the processor where it has none."""
    return next((weight.device for weight in model.parameters()), torch.device("cpu"))
