"""What a step may find set in torch, and what it leaves as it was: seeds, kernels, gradients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


def seed_torch(device: torch.device, seed: int) -> None:
    """Seed what draws on a device, and nothing else."""
    # torch.manual_seed also queues a call, with a stack trace, for every backend not yet in use
    generator = (
        torch.cuda.default_generators[device.index or 0] if device.type == "cuda" else torch.default_generator
    )
    generator.manual_seed(seed)


@contextmanager
def without_gradient(model: nn.Module, learning: Iterable[nn.Parameter]) -> Iterator[None]:
    """Nobody computes gradients of weights that do not learn in this stage."""
    kept = {id(weight) for weight in learning}
    still = [weight for weight in model.parameters() if weight.requires_grad and id(weight) not in kept]
    for weight in still:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in still:
            weight.requires_grad_(True)


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """On the CPU, forbid kernels that add in random order; leave the caller's random numbers as they were."""
    before = torch.are_deterministic_algorithms_enabled()
    debugging: Any = torch.utils.deterministic
    fill = debugging.fill_uninitialized_memory
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True, warn_only=True)
        debugging.fill_uninitialized_memory = False  # it costs time and decides nothing
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        torch.use_deterministic_algorithms(before)
        debugging.fill_uninitialized_memory = fill
