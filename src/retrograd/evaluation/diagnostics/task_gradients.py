"""Do two tasks pull the weights the same way? The cosine of their gradients, layer by layer.

Zhao et al. 2025, arXiv:2504.06714, hold that a prompt per task keeps it positive. Knows a module and losses;
what the tasks are is the caller's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from retrograd.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

Gradient = Mapping[str, np.ndarray]
"""Parameter -> its gradient; parameters that a task does not touch are absent."""


def gradient_of(model: nn.Module, loss: Tensor) -> dict[str, np.ndarray]:
    """The gradient of a loss by parameter, of those it touches; the model's own `.grad` is left as it is.

    Args:
        loss: () of which a graph is kept; it is consumed.
    """
    import torch

    named = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {
        name: gradient.detach().cpu().numpy()
        for name, gradient in zip(named, found, strict=True)
        if gradient is not None
    }


def gradient_cosine(task_a: Gradient, task_b: Gradient) -> dict[str, float]:
    """Layer -> cosine of two tasks' gradients of its weights, in [-1, 1]; below 0 the tasks are in conflict.

    A layer is the part of a parameter's name before the first dot, with the number behind it where there is
    one (`attention.0`). NaN where one of the tasks does not touch it.

    Raises:
        InputError: the gradients of a parameter differ in shape.

    >>> one = {"head.weight": np.array([1.0, 0.0]), "table": np.array([2.0])}
    >>> gradient_cosine(one, {"head.weight": np.array([1.0, 1.0]), "table": np.array([-1.0])})["table"]
    -1.0
    """
    products: dict[str, list[float]] = {}
    for name in dict.fromkeys((*task_a, *task_b)):
        one, two = (task.get(name, np.zeros(0)) for task in (task_a, task_b))
        if one.size and two.size and one.shape != two.shape:
            raise InputError(
                f"parameter {name!r} has gradients of shapes {one.shape} and {two.shape}; "
                "give both of one model"
            )
        sums = products.setdefault(_layer(name), [0.0, 0.0, 0.0])
        if one.size and two.size:
            sums[0] += float(np.vdot(one.astype(np.float64), two.astype(np.float64)))
        sums[1] += float(np.square(one, dtype=np.float64).sum())
        sums[2] += float(np.square(two, dtype=np.float64).sum())
    return {
        layer: product / float(np.sqrt(one * two)) if one > 0 and two > 0 else float("nan")
        for layer, (product, one, two) in products.items()
    }


def _layer(name: str) -> str:
    """
    >>> _layer("attention.0.query.weight"), _layer("from_text.weight")
    ('attention.0', 'from_text')
    """
    first, _, rest = name.partition(".")
    number = rest.partition(".")[0]
    return f"{first}.{number}" if number.isdigit() else first
