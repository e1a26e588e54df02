"""Compare: systems side by side, with what is luck marked apart from what is not.

Knows per-query scores and cost figures, never systems or data. How a comparison looks is left to
`tables` (terminal, Markdown) and `plots` (PNG).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from retrograd.errors import InputError
from retrograd.evaluation.measures import Scores, average_seeds
from retrograd.evaluation.significance import (
    Interval,
    Resampling,
    bootstrap_interval,
    groups_of,
    holm,
    paired_differences,
    randomisation_test,
)

if TYPE_CHECKING:
    from rich.console import Console

DECIMALS = 3
"""Digits shown after the point of a measure where nobody asks for more."""


@dataclass(frozen=True)
class Cell:
    """One system under one measure."""

    interval: Interval
    """Mean over queries (seeds averaged first) and its bootstrap interval."""

    seed_deviation: float
    """Sample standard deviation of the mean over seeds; 0 for a single seed."""

    difference: Interval | None = None
    """To the baseline, paired; None for the baseline itself."""

    p_value: float = 1.0
    """Of the paired randomisation test against the baseline, before correction."""

    adjusted_p: float = 1.0
    """After Holm's correction over every test of the comparison."""

    mark: str = ""
    """`better` or `worse` than the baseline where `adjusted_p` says so, else empty."""


@dataclass(frozen=True)
class Comparison:
    """Rows are systems, columns are measures, then cost figures without tests."""

    systems: tuple[str, ...]
    measures: tuple[str, ...]
    baseline: str
    cells: dict[tuple[str, str], Cell]
    """(system, measure) -> figures."""

    num_queries: int
    num_groups: int
    """Equal to `num_queries` where queries are not grouped."""

    num_seeds: dict[str, int]
    """System -> runs that were averaged."""

    costs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """System -> heading -> figure; a system may lack some."""

    title: str = ""
    level: float = 0.95
    decimals: int = DECIMALS
    """Digits shown after the point of a measure; means that agree in them are equally best."""

    def best(self, measure: str) -> frozenset[str]:
        """The systems with the highest mean, to the digits shown."""
        means = {
            system: round(self.cells[system, measure].interval.mean, self.decimals) for system in self.systems
        }
        return frozenset(system for system, mean in means.items() if mean == max(means.values()))

    @property
    def cost_columns(self) -> tuple[str, ...]:
        """Headings of `costs`, in order of first appearance."""
        return tuple(dict.fromkeys(name for figures in self.costs.values() for name in figures))

    def markdown(self) -> str:
        """The table with its caption as GitHub Markdown."""
        from retrograd.evaluation.tables import markdown_table

        return markdown_table(self)

    def show(self, console: Console | None = None) -> None:
        """Print the table to the terminal, or to another `rich` console."""
        from retrograd.evaluation.tables import print_table

        print_table(self, console)

    def plot(self, path: Path) -> None:
        """Write the comparison as a PNG: a panel per measure, a dot and an interval per system."""
        from retrograd.evaluation.plots import plot_comparison

        plot_comparison(self, path)


def compare(
    systems: Mapping[str, Scores | Sequence[Scores]],
    *,
    baseline: str,
    groups: Mapping[str, str] | None = None,
    costs: Mapping[str, Mapping[str, float]] | None = None,
    title: str = "",
    resampling: Resampling | None = None,
) -> Comparison:
    """Test every other system against the baseline on every measure.

    Seeds are averaged per query before anything is tested. Holm's correction runs over all tests of the
    table, so at level 0.95 the chance that it holds even one false mark is at most 5 %.

    Args:
        systems: name -> scores of one run, or of several that differ by seed; rows keep this order.
        baseline: the system the others are tested against.
        groups: query id -> group; whole groups are then resampled (see `significance`).
        costs: system -> heading -> figure, shown beside the measures.
        resampling: draws, seed, and the level of intervals and marks.

    Raises:
        InputError: an unknown baseline or cost row, measures or queries that differ between systems,
            or a query without a group.
    """
    runs = {name: [given] if isinstance(given, Scores) else list(given) for name, given in systems.items()}
    strange = ({baseline} | set(costs or {})) - runs.keys()
    if strange:
        raise InputError(f"system {min(strange)!r} is not compared; choose from {', '.join(runs) or 'none'}")
    how = resampling or Resampling()
    scores = {name: average_seeds(given) for name, given in runs.items()}
    measures = tuple(scores[baseline].per_query)
    odd = [name for name in scores if scores[name].per_query.keys() != scores[baseline].per_query.keys()]
    if odd:
        raise InputError(f"system {odd[0]!r} was measured by other measures than {', '.join(measures)}")
    cells = {
        (name, measure): cell
        for name, given in runs.items()
        for measure, cell in _row(given, None if name == baseline else scores[baseline], groups, how).items()
    }
    member = groups_of(scores[baseline].query_ids, groups) or scores[baseline].query_ids
    return Comparison(
        systems=tuple(scores),
        measures=measures,
        baseline=baseline,
        cells=_marked(cells, 1 - how.level),
        num_queries=len(member),
        num_groups=len(set(member)),
        num_seeds={name: len(given) for name, given in runs.items()},
        costs=costs or {},
        title=title,
        level=how.level,
    )


def _row(
    runs: Sequence[Scores], baseline: Scores | None, groups: Mapping[str, str] | None, how: Resampling
) -> dict[str, Cell]:
    """Measure -> cell of one system; `mark` and `adjusted_p` wait for the whole table."""
    cells = {}
    for measure, values in average_seeds(runs).per_query.items():
        members = groups_of(values, groups)
        interval = bootstrap_interval(np.array(list(values.values())), groups=members, resampling=how)
        means = [run.mean[measure] for run in runs]
        deviation = float(np.std(means, ddof=1)) if len(means) > 1 else 0.0
        if baseline is None:
            cells[measure] = Cell(interval, deviation)
            continue
        differences = paired_differences(values, baseline.per_query[measure])
        cells[measure] = Cell(
            interval,
            deviation,
            difference=bootstrap_interval(differences, groups=members, resampling=how),
            p_value=randomisation_test(differences, groups=members, resampling=how),
        )
    return cells


def _marked(cells: dict[tuple[str, str], Cell], alpha: float) -> dict[tuple[str, str], Cell]:
    tested = [key for key, cell in cells.items() if cell.difference is not None]
    marked = dict(cells)
    for key, adjusted in zip(tested, holm([cells[key].p_value for key in tested]).tolist(), strict=True):
        difference = cells[key].difference
        assert difference is not None
        direction = "better" if difference.mean > 0 else "worse"
        marked[key] = replace(cells[key], adjusted_p=adjusted, mark=direction if adjusted < alpha else "")
    return marked
