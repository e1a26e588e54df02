"""A recommender slice by slice: by the user who asks, and by how popular the item is that was taken.

Knows per-query values, labels and popularity from outside; slices of documents are those of `slices`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from retrograd.errors import InputError
from retrograd.evaluation.significance import Interval, Resampling, bootstrap_interval
from retrograd.evaluation.slices import PopularitySlices, evaluate_slices
from retrograd.types import Qrels, Ranking

Sliced = Mapping[str, Mapping[str, tuple[int, Interval]]]
"""System -> slice -> (queries in it, mean and interval)."""

POPULARITY = "popularity of the target"
COLD = "cold"
"""The slice of items that nobody took in what may be learnt from."""


def by_label(
    values: Mapping[str, float], labels: Mapping[str, str], resampling: Resampling | None = None
) -> dict[str, tuple[int, Interval]]:
    """Slice -> (queries in it, mean over them with its bootstrap interval), in natural order.

    Args:
        values: query -> value, as in `Scores.per_query`.
        labels: query -> slice; may know more queries.

    Raises:
        InputError: a query that is in no slice.

    >>> found = by_label({"u": 1.0, "v": 0.0, "w": 0.0}, {"u": "5 to 9", "v": "5 to 9", "w": "10 to 19"})
    >>> [(label, count, interval.mean) for label, (count, interval) in found.items()]
    [('5 to 9', 2, 0.5), ('10 to 19', 1, 0.0)]
    """
    members: dict[str, list[float]] = {}
    for query, value in values.items():
        if query not in labels:
            raise InputError(f"query {query!r:.60} is in no slice")
        members.setdefault(labels[query], []).append(value)
    return {
        label: (len(members[label]), bootstrap_interval(np.array(members[label]), resampling=resampling))
        for label in sorted(members, key=_natural)
    }


def slices_of_users(
    values: Mapping[str, Mapping[str, float]], labels: Mapping[str, Mapping[str, str]]
) -> dict[str, Sliced]:
    """What is sliced by -> system -> slice.

    Args:
        values: system -> query -> value.
        labels: what is sliced by -> query -> slice.
    """
    return {
        what: {system: by_label(found, label) for system, found in values.items()}
        for what, label in labels.items()
    }


def slices_of_targets(
    rankings: Mapping[str, Ranking],
    qrels: Qrels,
    measure: str,
    item_ids: Sequence[str],
    popularity: Mapping[str, float],
) -> dict[str, Sliced]:
    """The same by popularity of what was taken: fifths of the items that anybody took, and cold items."""
    fifths = PopularitySlices(parts=5, zero_apart=True)
    assigned = fifths.assign(item_ids, popularity)
    found = {
        system: {
            _name(part.slice, fifths.parts): (len(part.scores.query_ids), part.intervals[measure])
            for part in evaluate_slices(ranking, qrels, assigned, [measure])
        }
        for system, ranking in rankings.items()
    }
    return {POPULARITY: found}


def sliced_table(title: str, sliced: Sliced) -> str:
    """A Markdown table, a row per system, a column per slice."""
    labels = list(dict.fromkeys(label for found in sliced.values() for label in found))
    counts = {label: next(f[label][0] for f in sliced.values() if label in f) for label in labels}
    heading = ["system", *(f"{label} ({counts[label]:,})" for label in labels)]
    rows = [
        [system, *(f"{found[label][1].mean:.4f}" if label in found else "-" for label in labels)]
        for system, found in sliced.items()
    ]
    lines = [f"| {' | '.join(cells)} |" for cells in (heading, ["---"] + ["---:"] * len(labels), *rows)]
    return "\n".join([f"**{title}**", "", *lines, ""])


def _name(number: int, parts: int) -> str:
    if number > parts:
        return COLD
    return {1: "1 (head)", parts: f"{parts} (tail)"}.get(number, str(number))


def _natural(label: str) -> tuple[int, str]:
    """Labels that begin with a number by its value, before the rest."""
    first = label.partition(" ")[0]
    return (int(first) if first.isdigit() else 1 << 31, label)
