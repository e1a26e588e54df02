"""Collapse: have queries and keys fallen together, wholly or into a few directions?

Training on positives alone ends in one point, where all gradients are 0; too cold a temperature ends in a
cone, too warm a one in few directions. No single figure shows all of these. Knows vectors only.
Shapes: q queries, n keys, d dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from retrograd.errors import InputError
from retrograd.evaluation.diagnostics.hubness import nearest_rows
from retrograd.evaluation.diagnostics.isotropy import (
    alignment,
    effective_rank,
    mean_cosine,
    uniformity,
)

CONE = 0.5
"""A mean cosine above it is a cone."""

FLAT = 0.125
"""An effective rank below this share of what it could be is flat."""

HUB = 0.05
"""Fewer different first answers than this share of what there could be are hubs."""


@dataclass(frozen=True, kw_only=True)
class CollapseReport:
    """Health of an embedding."""

    mean_cosine: float
    """Over pairs of keys; 0 for directions drawn evenly, 1 for a single one."""

    query_cosine: float
    """The same of queries."""

    effective_rank: float
    """Of the centred keys, at most d."""

    largest_rank: int
    """What that could be: min(n - 1, d)."""

    distinct_top1: float
    """Different first answers, as a share of what there could be, min(q, n)."""

    uniformity: float
    """Of the keys, at most 0; lower is more evenly spread."""

    alignment: float
    """Mean squared distance of a query and its key, both of length 1; NaN without pairs."""

    def alarms(self) -> tuple[str, ...]:
        """What is wrong, a sentence each; () where nothing is."""
        return tuple(self._alarms())

    def _alarms(self) -> Iterator[str]:
        for what, cosine in (("keys", self.mean_cosine), ("queries", self.query_cosine)):
            if cosine > CONE:
                yield (
                    f"{what} crowd into a cone (mean cosine {cosine:.2f}); "
                    "add negatives or raise the temperature"
                )
        if self.effective_rank < FLAT * self.largest_rank:
            yield (
                f"keys use {self.effective_rank:.1f} of {self.largest_rank} directions; "
                "lower the temperature, compare by cosine or add `losses.regularisers.uniformity`"
            )
        if self.distinct_top1 < HUB:
            yield f"only {self.distinct_top1:.1%} of the possible first answers are given; add hard negatives"

    def check(self) -> None:
        """Raise InputError where something is wrong."""
        if self.alarms():
            raise InputError("the embedding has collapsed: " + "; ".join(self.alarms()))


def collapse_report(
    queries: np.ndarray, keys: np.ndarray, *, positives: np.ndarray | None = None, seed: int = 0
) -> CollapseReport:
    """Every figure of queries (q, d) and keys (n, d), arrays or tensors without gradient; both at least two.

    Args:
        positives: (q,) int64, the row of each query's key.
        seed: draws the rows `uniformity` looks at, where there are many.

    >>> collapse_report(np.eye(3), np.eye(3)).distinct_top1
    1.0
    """
    asked, known = np.asarray(queries, np.float64), np.asarray(keys, np.float64)
    if min(len(asked), len(known)) < 2 or asked.shape[1:] != known.shape[1:]:
        raise InputError(
            f"queries of shape {asked.shape} and keys of {known.shape}: give two of each at least"
        )
    firsts = nearest_rows(asked, known, 1)
    pairs = float("nan") if positives is None else alignment(asked, known[np.asarray(positives)])
    return CollapseReport(
        mean_cosine=mean_cosine(known),
        query_cosine=mean_cosine(asked),
        effective_rank=effective_rank(known - known.mean(axis=0)),
        largest_rank=min(len(known) - 1, known.shape[1]),
        distinct_top1=len(np.unique(firsts)) / min(len(asked), len(known)),
        uniformity=uniformity(known, seed=seed),
        alignment=pairs,
    )
