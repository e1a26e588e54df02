"""Tables: a diagnosis in a terminal, one small table per theme.

Decides only how figures look.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from retrograd.evaluation.significance import Interval

if TYPE_CHECKING:
    from rich.console import Console

    from retrograd.evaluation.diagnostics.report import Diagnosis


@dataclass(frozen=True)
class Grid:
    """One table as texts."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def grids(diagnosis: Diagnosis) -> tuple[Grid, ...]:
    """Every table the diagnosis has figures for."""
    makers = (_popularity, _hubness, _isotropy, _codes, _norms, _capacity, _agreement, _gradients)
    return tuple(grid for make in makers for grid in make(diagnosis))


def print_diagnosis(diagnosis: Diagnosis, console: Console) -> None:
    """Tables, then what was left out and why, then the alarms."""
    from rich.text import Text

    facts = f"{diagnosis.num_documents:,} documents, {diagnosis.num_queries:,} judged queries"
    console.print(Text(f"{diagnosis.name}: {facts}, lists of {diagnosis.k}", style="bold"))
    print_grids(grids(diagnosis), diagnosis.left_out, console)
    for line in diagnosis.alarms:
        console.print(Text(f"alarm: {line}", style="bold red"))
    if not diagnosis.alarms:
        console.print(Text("no alarm"))


def print_grids(found: Iterable[Grid], left_out: Iterable[str], console: Console) -> None:
    """Tables, then what was left out and why."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    for grid in found:
        table = Table(box=box.SIMPLE_HEAD, title=grid.title, title_justify="left", title_style="bold")
        for at, heading in enumerate(grid.header):
            table.add_column(heading, justify="right" if at else "left", no_wrap=not at)
        for row in grid.rows:
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)
        if grid.note:
            console.print(Text(grid.note, style="dim"))
    for line in left_out:
        console.print(Text(f"left out: {line}", style="dim"))


def figure(value: float | None) -> str:
    """Three digits behind the point for small figures, fewer for large ones, a dash for none.

    >>> figure(0.12345), figure(1234.5), figure(float("nan")), figure(0.00012), figure(3.0)
    ('0.123', '1,234', '-', '0.00012', '3')
    """
    if value is None or not isfinite(value):
        return "-"
    if value == int(value):
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) >= 0.001 else f"{value:.2g}"


def interval(value: Interval) -> str:
    """Mean and its interval.

    >>> interval(Interval(0.5, 0.4, 0.6))
    '0.500 [.400, .600]'
    """
    if not (isfinite(value.low) and isfinite(value.high)):
        return f"{value.mean:.3f}"
    low, high = (f"{end:.3f}".replace("0.", ".", 1) for end in (value.low, value.high))
    return f"{value.mean:.3f} [{low}, {high}]"


def _popularity(diagnosis: Diagnosis) -> Iterator[Grid]:
    audits = diagnosis.popularity
    if not audits:
        return
    k, systems = diagnosis.k, tuple(audits)
    # every audit has the same parts: they follow from judgements and popularity alone
    parts = zip(*(audit.slices for audit in audits.values()), strict=True)
    rows = tuple(
        (
            _slice_name(same[0].name),
            _span(same[0].least, same[0].most),
            f"{same[0].num_documents:,}",
            f"{same[0].num_queries:,}",
            *(interval(part.hit_rate) for part in same),
            *(interval(part.ndcg) for part in same),
        )
        for same in parts
    )
    hits = tuple(f"HitRate@{k} {name}" for name in systems)
    gains = tuple(f"nDCG@{k} {name}" for name in systems)
    header = ("part of the catalogue", "popularity", "documents", "queries", *hits, *gains)
    yield Grid("Popularity: who is served", header, rows, f"Popularity: {diagnosis.popularity_from}.")
    yield Grid(
        "Popularity of what is shown",
        ("lists of", "mean of answers", "of what was wanted", "of the catalogue", "lift", "exposure Gini"),
        tuple(
            (
                name,
                figure(audit.list_popularity),
                figure(audit.relevant_popularity),
                figure(audit.catalogue_popularity),
                figure(audit.lift),
                figure(audit.exposure_gini),
            )
            for name, audit in audits.items()
        ),
    )


def _slice_name(name: str) -> str:
    return {"1": "1 (head)", "none": "never taken"}.get(name, name)


def _span(least: float, most: float) -> str:
    return figure(least) if least == most else f"{figure(least)} to {figure(most)}"


def _hubness(diagnosis: Diagnosis) -> Iterator[Grid]:
    header = ("hubness of", "k", "lists", "skewness", "by chance", "never shown", "by chance", "Gini", "most")
    rows = tuple(
        (
            what,
            str(hubs.k),
            f"{hubs.num_lists:,}",
            figure(hubs.skewness),
            figure(hubs.random_skewness),
            figure(hubs.never),
            figure(hubs.random_never),
            figure(hubs.gini),
            f"{hubs.largest:,}",
        )
        for what, hubs in diagnosis.hubness.items()
    )
    yield Grid("Hubness: N_k, the lists a document stands in", header, rows)


def _isotropy(diagnosis: Diagnosis) -> Iterator[Grid]:
    if not diagnosis.isotropy:
        return
    header = (
        "isotropy of", "vectors", "dimensions", "mean cosine", "IsoScore", "partition min/max",
        "effective rank", "uniformity",
    )  # fmt: skip
    rows = tuple(
        (
            what,
            f"{found.num_vectors:,}",
            str(found.dimensions),
            figure(found.mean_cosine),
            figure(found.iso_score),
            figure(found.partition_ratio),
            figure(found.effective_rank),
            figure(found.uniformity),
        )
        for what, found in diagnosis.isotropy.items()
    )
    aligned = diagnosis.alignment
    note = "" if aligned is None else f"Alignment of judged pairs: {figure(aligned)} (0 equal, 2 unrelated)."
    yield Grid("Isotropy", header, rows, note)


def _codes(diagnosis: Diagnosis) -> Iterator[Grid]:
    codes = diagnosis.codes
    if codes is None:
        return
    levels = zip(codes.report.levels, codes.dead_shares, codes.perplexity_shares, strict=True)
    rows = tuple(
        (
            str(number),
            f"{level.size:,}",
            f"{level.used:,}",
            figure(dead),
            figure(level.perplexity),
            figure(share),
            figure(level.largest_share),
        )
        for number, (level, dead, share) in enumerate(levels, 1)
    )
    header = ("level", "codes", "used", "dead share", "perplexity", "of possible", "largest share")
    note = (
        f"{figure(codes.items_per_leaf)} documents per key (most {codes.largest_leaf:,}); "
        f"{figure(codes.collision_rate)} of the documents share their codes."
    )
    yield Grid("Codes", header, rows, note)


def _norms(diagnosis: Diagnosis) -> Iterator[Grid]:
    rows = tuple(
        (str(level.level), f"{level.used:,}", figure(level.spearman), figure(level.norm_spread))
        for level in diagnosis.norms
    )
    header = ("level", "used codes", "Spearman", "spread of the norm")
    yield from _unless_empty(Grid("Norm of a code against its frequency", header, rows))


def _capacity(diagnosis: Diagnosis) -> Iterator[Grid]:
    found = diagnosis.capacity
    if found is None:
        return
    header = ("exhaustive ranking by", found.measure)
    rows = (
        ("vectors", interval(found.by_vectors)),
        ("what the id stands for", interval(found.by_codes)),
        ("difference", interval(found.difference)),
    )
    yield Grid("Code capacity", header, rows)


def _agreement(diagnosis: Diagnosis) -> Iterator[Grid]:
    header = ("level", "noisy = clean", "soft = hard", "|soft - hard| / |hard|")
    for when, found in diagnosis.agreement.items():
        rows = tuple(
            (str(x.level), figure(x.noisy_is_clean), figure(x.soft_is_hard), figure(x.soft_gap))
            for x in found.levels
        )
        note = f"Whole id: {figure(found.same_key)} alike; gap of the sums {figure(found.total_gap)}."
        yield Grid(f"Training against inference, {when}", header, rows, note)


def _gradients(diagnosis: Diagnosis) -> Iterator[Grid]:
    header = ("stage", "points", "mean", "median", "variance", "largest", "at step", "spikes")
    rows = tuple(
        (
            stage.stage,
            f"{stage.points:,}",
            figure(stage.mean),
            figure(stage.median),
            figure(stage.variance),
            figure(stage.largest),
            f"{stage.largest_step:,.0f}",
            f"{len(stage.spikes):,}",
        )
        for stage in diagnosis.gradients
    )
    yield from _unless_empty(Grid("Gradient norm after warm-up", header, rows))


def _unless_empty(*found: Grid) -> Iterable[Grid]:
    kept: Sequence[Grid] = [grid for grid in found if grid.rows]
    return kept
