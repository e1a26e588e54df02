"""How far two rankings of keys agree, such as those of a decoder with rounded weights and with its own.

Knows the results of beams; neither documents nor relevance. Shapes: B queries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from retrograd.constraints import Constraint
from retrograd.search.beam import BeamResult
from retrograd.search.engine import search_keys


@dataclass(frozen=True)
class Agreement:
    """Means over queries, but for the score error; 1 and 0 where both are the same."""

    overlap: float
    """Share of the first k keys of the one that the other has among its first k, from 0 to 1."""

    kendall: float
    """Kendall's tau of the keys that both have among their first k, from -1 to 1; 1 for fewer than two."""

    same: float
    """Share of the queries whose first k keys are the same in the same order."""

    score_error: float
    """Largest difference of the scores that both give one key, in nats."""


def agreement(found: BeamResult, expected: BeamResult, k: int = 10) -> Agreement:
    """Compare the first `k` keys of each query; two empty rankings agree.

    Raises:
        ValueError: k below 1, or rankings of different numbers of queries.
    """
    batch = len(expected.keys)
    if k < 1 or len(found.keys) != batch:
        raise ValueError(f"k={k} must be at least 1, and both must answer {batch} queries")
    if not batch:
        return Agreement(1.0, 1.0, 1.0, 0.0)
    rows = [_compared(found, expected, query, k) for query in range(batch)]
    overlap, kendall, same, error = zip(*rows, strict=True)
    return Agreement(sum(overlap) / batch, sum(kendall) / batch, sum(same) / batch, max(error))


def agreement_of_precision(
    model: Any,
    inputs: dict[str, Tensor],
    constraint: Constraint,
    precision: str,
    *,
    width: int,
    normalise: str = "level",
    k: int = 10,
) -> Agreement:
    """What rounding the decoder's weights does to the answers of the compiled beam.

    Args:
        inputs: collated batch of B queries.
        precision: `bf16` or `int8`.

    Raises:
        InputError: the compiled core cannot run here; says why.
    """
    found, expected = (
        search_keys(
            model, inputs, constraint, width=width, normalise=normalise, engine="native", precision=name
        )
        for name in (precision, "fp32")
    )
    return agreement(found, expected, k)


def _compared(
    found: BeamResult, expected: BeamResult, query: int, k: int
) -> tuple[float, float, bool, float]:
    one, other = _ranked(found, query, k), _ranked(expected, query, k)
    if not one or not other:
        return float(not one and not other), 1.0, not one and not other, 0.0
    both = [key for key in other if key in one]
    error = max((abs(one[key] - other[key]) for key in both), default=0.0)
    overlap = len(both) / max(len(one), len(other))
    place = {key: at for at, key in enumerate(one)}
    return overlap, kendall_tau([place[key] for key in both]), list(one) == list(other), error


def _ranked(result: BeamResult, query: int, k: int) -> dict[int, float]:
    pairs = zip(result.keys[query, :k].tolist(), result.scores[query, :k].tolist(), strict=True)
    return {key: score for key, score in pairs if key >= 0}


def kendall_tau(places: list[int]) -> float:
    """Kendall's tau of an order without ties against 0, 1, 2, ...: pairs in order less pairs out of it, over
    all pairs; 1 for fewer than two.

    >>> kendall_tau([0, 2, 1])
    0.3333333333333333
    """
    pairs = [one < other for at, one in enumerate(places) for other in places[at + 1 :]]
    return (2 * sum(pairs) - len(pairs)) / len(pairs) if pairs else 1.0
