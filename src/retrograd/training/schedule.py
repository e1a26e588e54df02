"""How the weights move: learning rate by step, parameter groups, and the running average.

Knows numbers and parameters; not the loss they come from.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from retrograd.recipe import Stage


def learning_rate(stage: Stage, step: int, steps: int) -> float:
    """Rate of step `step`, counted from 0: linear warm-up from 0, then the stage's decay.

    >>> stage = Stage(name="s", objective=None, examples=(), learning_rate=1.0, warmup=0.5)
    >>> [learning_rate(stage, step, 4) for step in range(4)]
    [0.5, 1.0, 1.0, 0.5]
    """
    warm = math.ceil(stage.warmup * steps)
    if step < warm:
        return stage.learning_rate * (step + 1) / warm
    done = (step - warm) / max(steps - warm, 1)
    factors = {"linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2, "constant": 1.0}
    return stage.learning_rate * factors[stage.decay]


def adamw(model: nn.Module, stage: Stage) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) that decays matrices but no norm, bias or embedding."""
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    decayed: list[Tensor] = []
    free: list[Tensor] = []
    for weight in trainable(model).values():
        (decayed if weight.ndim > 1 and id(weight) not in embeddings else free).append(weight)
    groups = [
        {"params": decayed, "weight_decay": stage.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=stage.learning_rate, fused=True
    )


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters that take a gradient, by name, tied ones once."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


@torch.no_grad()
def update_average(average: list[Tensor], weights: list[Tensor], *, decay: float, step: int) -> None:
    """`average = d * average + (1 - d) * weights` in place, d rising to `decay` over the first steps.

    d is `min(decay, (1 + step) / (10 + step))`, so the random start is soon forgotten.
    """
    rising = min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(average, weights, 1 - rising)
