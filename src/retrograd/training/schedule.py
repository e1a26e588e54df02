"""How the weights move: learning rate by step, parameter groups, and the running average.

Knows numbers and parameters; not the loss they come from.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from retrograd.recipe import Rate, Stage


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
    """AdamW (Loshchilov and Hutter 2019) that decays matrices but no norm, bias or embedding.

    Each group carries the `factor` its rate is multiplied with (see `Stage.rates`).
    """
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, weight in trainable(model, stage).items():
        rate = rate_of(name, stage)
        decayed = weight.ndim > 1 and id(weight) not in embeddings and (rate is None or rate.decays)
        settings = (stage.weight_decay if decayed else 0.0, 1.0 if rate is None else rate.factor)
        groups.setdefault(settings, []).append(weight)
    return torch.optim.AdamW(
        [
            {"params": weights, "weight_decay": decay, "factor": factor}
            for (decay, factor), weights in groups.items()
        ],
        lr=stage.learning_rate,
        fused=True,
    )


def rate_of(name: str, stage: Stage) -> Rate | None:
    """The stage's own pace for a parameter, if it has one."""
    return next((rate for rate in stage.rates if name.startswith(rate.part)), None)


def trainable(model: nn.Module, stage: Stage) -> dict[str, nn.Parameter]:
    """Parameters that learn in a stage, by name, tied ones once."""
    return {
        name: weight
        for name, weight in model.named_parameters()
        if weight.requires_grad and ((rate := rate_of(name, stage)) is None or rate.factor)
    }


@torch.no_grad()
def update_average(average: list[Tensor], weights: list[Tensor], *, decay: float, step: int) -> None:
    """`average = d * average + (1 - d) * weights` in place, d rising to `decay` over the first steps.

    d is `min(decay, (1 + step) / (10 + step))`, so the random start is soon forgotten.
    """
    rising = min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(average, weights, 1 - rising)
