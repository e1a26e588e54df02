"""What the reports of all grids share: finished cells, paired tests, Markdown tables.

Knows cells as JSON and names; which tables are worth writing is the business of each report. Nothing is
measured here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from retrograd.data.sample import sample_path
from retrograd.evaluation.measures import Scores, average_seeds
from retrograd.evaluation.significance import (
    Interval,
    bootstrap_interval,
    groups_of,
    holm,
    paired_differences,
    randomisation_test,
)

MEASURE = "nDCG@10"
NOT_RUN = "not run"
QUALITY = "Mean and deviation over seeds, and the 95 % bootstrap interval over queries."
DIFFERENCES = (
    "Differences (seeds averaged per query), 95 % bootstrap interval, p of the paired randomisation test "
    "after Holm over the table."
)
Results = Sequence[Mapping[str, Any]]
"""Runs of one system on one claim that differ by seed; each holds `mean` and `per_query`."""

Cells = Mapping[tuple[str, str], Results]
"""(claim, system) -> one result per seed. A pair that was not run is missing."""


def read_files(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Finished cells of one kind, by name; seeds of one system in order."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob(f"{kind}.*.json"))]


def scores(results: Results) -> list[Scores]:
    """Per-query scores of each seed."""
    return [Scores(result["per_query"]) for result in results]


def groups(claim: str) -> dict[str, str] | None:
    """API of each query where a claim is to be resampled by API."""
    if "apibench" not in claim:
        return None
    rows = (sample_path("apibench") / "qrels" / f"{claim.split()[1]}.tsv").read_text().splitlines()[1:]
    return dict(row.split("\t")[:2] for row in rows)


def paired(
    ours: Results, theirs: Results, *, measure: str = MEASURE, members: Mapping[str, str] | None = None
) -> tuple[Interval, float] | None:
    """Difference of the per-query means over seeds with its interval, and p; None where a side has no run.

    Args:
        members: query -> group, where whole groups are resampled.
    """
    if not ours or not theirs:
        return None
    one, two = (average_seeds(scores(side)).per_query[measure] for side in (ours, theirs))
    differences = paired_differences(one, two)
    member = groups_of(list(one), members)
    return bootstrap_interval(differences, groups=member), randomisation_test(differences, groups=member)


def adjusted(tests: Mapping[Any, tuple[Interval, float] | None]) -> dict[Any, str]:
    """Each test as text, p after Holm over all of them; `not run` where there is none."""
    kept = {key: value for key, value in tests.items() if value is not None}
    p_values = dict(zip(kept, holm([p for _, p in kept.values()]), strict=True))
    return {
        key: f"{signed(kept[key][0])}, p={p_values[key]:.3g}" if key in kept else NOT_RUN for key in tests
    }


def paired_table(
    pairs: Sequence[tuple[str, str, str]], claims: Sequence[str], cells: Cells, *, measure: str = MEASURE
) -> str:
    """Rows are statements, columns are claims; p after Holm over the whole table. Rows without a run go."""
    tests = {
        (pair, claim): paired(
            cells.get((claim, pair[1]), ()),
            cells.get((claim, pair[2]), ()),
            measure=measure,
            members=groups(claim),
        )
        for pair in pairs
        for claim in claims
    }
    texts = adjusted(tests)
    rows = [
        [
            f"{said}: `{ours}` - `{theirs}`".removeprefix(": "),
            *(texts[(said, ours, theirs), claim] for claim in claims),
        ]
        for said, ours, theirs in pairs
        if any(tests[(said, ours, theirs), claim] is not None for claim in claims)
    ]
    return markdown(["", *claims], rows) if rows else "Not run."


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; every row as long as the header.

    >>> print(markdown(["a", "b"], [["1", "2"]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for row in rows:
        assert len(row) == len(header), f"{len(row)} texts under {len(header)} headings"
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    """Mean and deviation over seeds.

    >>> spread([0.25]), spread([0.1, 0.3]), spread([])
    ('0.250', '0.200 ± 0.141', 'not run')
    """
    if not values:
        return NOT_RUN
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def signed(interval: Interval) -> str:
    """A difference with its interval.

    >>> signed(Interval(0.1, -0.05, 0.25))
    '+0.100 [-0.050, +0.250]'
    """
    return f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def measured(results: Results, measure: str = MEASURE) -> list[float]:
    """One mean over queries per seed."""
    return [result["mean"][measure] for result in results]


def quality(results: Results, measure: str = MEASURE) -> str:
    """Mean and deviation over seeds, and the bootstrap interval over queries of the mean of the seeds."""
    if not results:
        return NOT_RUN
    averaged = average_seeds(scores(results)).per_query[measure]
    interval = bootstrap_interval(np.array(list(averaged.values())))
    return f"{spread(measured(results, measure))} [{interval.low:.3f}, {interval.high:.3f}]"
