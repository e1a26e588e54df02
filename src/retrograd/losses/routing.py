"""What it costs, in expectation, to open some of many parts, each on its own with a probability.

Inclusions are independent, so every expectation is a polynomial that is linear in each probability:
exact, differentiable, and hard at its optimum. Knows probabilities and costs only.
Shapes: ... cases, C parts, G segments.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def expected_cost(
    probabilities: Tensor,
    *,
    bytes_read: Tensor | None = None,
    serial_latency: Tensor | None = None,
    parallel_latency: Tensor | None = None,
    cached: Tensor | None = None,
    segments: Tensor | None = None,
    wanted: Tensor | None = None,
) -> dict[str, Tensor]:
    """Every expected cost whose ingredients are given, under the name of the ingredient.

    Args:
        probabilities: (..., C) float in [0, 1], of opening each part.
        bytes_read: (..., C) bytes of a part: `sum p b`.
        serial_latency: (..., C) time of a part, one after the other: `sum p l`.
        parallel_latency: (..., C) the same, all at once: the mean of the longest, `expected_longest`.
        cached: (..., C) share of a part that is at hand: parts fetched from afar, `sum p (1 - cached)`.
        segments: (C,) int64, where a part lies: segments touched, `expected_segments`.
        wanted: (..., C) share of what is wanted in each part: share missed, `sum wanted (1 - p)`.

    Returns: name -> (...) expected cost of a case.

    >>> expected_cost(torch.tensor([1.0, 0.5]), bytes_read=torch.tensor([10.0, 4.0]))
    {'bytes_read': tensor(12.)}
    """
    costs = {}
    if bytes_read is not None:
        costs["bytes_read"] = (probabilities * bytes_read).sum(-1)
    if serial_latency is not None:
        costs["serial_latency"] = (probabilities * serial_latency).sum(-1)
    if parallel_latency is not None:
        costs["parallel_latency"] = expected_longest(probabilities, parallel_latency)
    if cached is not None:
        costs["cached"] = (probabilities * (1 - cached)).sum(-1)
    if segments is not None:
        costs["segments"] = expected_segments(probabilities, segments)
    if wanted is not None:
        costs["wanted"] = (wanted * (1 - probabilities)).sum(-1)
    return costs


def expected_longest(probabilities: Tensor, latency: Tensor) -> Tensor:
    """`sum_j l_j p_j prod_{i before j} (1 - p_i)`, longest first: the mean of the longest of those opened.

    Args:
        probabilities: (..., C) float in [0, 1].
        latency: (..., C) or (C,) float at least 0.

    Returns: (...) in the units of `latency`; opening nothing takes 0.

    >>> expected_longest(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 3.0]))
    tensor(1.7500)
    """
    latency = latency.expand_as(probabilities)
    order = latency.argsort(-1, descending=True)
    latency, probabilities = latency.gather(-1, order), probabilities.gather(-1, order)
    none_before = F.pad((1 - probabilities).cumprod(-1)[..., :-1], (1, 0), value=1.0)
    return (latency * probabilities * none_before).sum(-1)


def expected_segments(probabilities: Tensor, segments: Tensor) -> Tensor:
    """`sum_g (1 - prod_{c in g} (1 - p_c))`: how many segments are touched.

    Args:
        probabilities: (..., C) float in [0, 1].
        segments: (C,) int64 at least 0.

    Returns: (...) from 0 to the number of segments.

    >>> expected_segments(torch.tensor([0.5, 0.5, 1.0]), torch.tensor([0, 0, 1]))
    tensor(1.7500)
    """
    known = range(int(segments.max()) + 1 if len(segments) else 0)
    touched = [1 - (1 - probabilities[..., segments == segment]).prod(-1) for segment in known]
    return torch.stack(touched).sum(0) if touched else probabilities.sum(-1)
