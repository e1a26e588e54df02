"""Decoding figures: the diagnosis of a beam as tables and as a plot.

Decides only how figures look.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from retrograd.evaluation.canvas import INK, QUIET, SERIES, footnote, label, plain_decades, save, style
from retrograd.evaluation.diagnostics.tables import Grid, figure, print_grids

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.console import Console

    from retrograd.evaluation.diagnostics.decoding import DecodingDiagnosis

_DASHES = (0, (4, 3))


def print_decoding(found: DecodingDiagnosis, console: Console) -> None:
    """Tables, then what was left out and why."""
    from rich.text import Text

    facts = f"{found.num_documents:,} documents, {found.num_keys:,} ids, {found.num_queries:,} queries"
    console.print(Text(f"{found.name}: {facts}, scores by {found.normalise}", style="bold"))
    print_grids(decoding_grids(found), found.left_out, console)


def decoding_grids(found: DecodingDiagnosis) -> Iterator[Grid]:
    """Every table there are figures for."""
    names = tuple(found.beams[0].measures)
    levels = tuple(f"level {at}" for at in range(1, len(found.beams[0].prefix_recall) + 1))
    yield Grid(
        "Beams: measures, and relevant prefixes still in the beam",
        ("beam", *names, *levels),
        tuple(
            (f"{beam.width}", *map(figure, beam.measures.values()), *map(figure, beam.prefix_recall))
            for beam in found.beams
        ),
        "Level n: share of the relevant documents with a prefix of n tokens that the beam kept.",
    )
    if found.ceiling is not None:
        yield Grid(
            "Look-ahead: the same beams, were the best id below each prefix known",
            ("beam", *(text for name in names for text in (name, f"{name} looking ahead"))),
            tuple(
                (f"{at.width}", *(figure(side[name]) for name in names for side in (at.plain, at.perfect)))
                for at in found.look_ahead
            ),
            f"{found.num_exact:,} queries. All ids ranked: "
            + ", ".join(f"{name} {figure(value)}" for name, value in found.ceiling.items())
            + ".",
        )
    if found.divergence:
        yield Grid(
            "Masking step by step: divergence from the true law of a part of the catalogue, in nats",
            ("share that stays", "first token", "by formula", "whole id"),
            tuple(
                (f"{at.share:g}", figure(at.first_token), figure(at.predicted), figure(at.whole_key))
                for at in found.divergence
            ),
            "Simpson index of the ids below a prefix, by level: "
            + ", ".join(map(figure, found.simpson))
            + ". The formula is right where the divergence is small.",
        )


def decoding_figure(found: DecodingDiagnosis, path: Path) -> None:
    """Recall against the width, prefix recall down the levels, divergence against the share kept."""
    from matplotlib.figure import Figure

    with style():
        canvas = Figure(figsize=(11.4 if found.divergence else 7.8, 3.8), layout="constrained")
        panels = canvas.subplots(1, 3 if found.divergence else 2)
        _sweep(panels[0], found)
        _levels(panels[1], found)
        if found.divergence:
            divergence_panel(panels[2], found)
        facts = f"{found.num_queries:,} queries, {found.num_keys:,} ids, scores by {found.normalise}."
        if found.num_exact:
            facts += f" Look-ahead and divergence: {found.num_exact:,} queries."
        footnote(canvas, facts)
        save(canvas, path)


def _sweep(panel: Axes, found: DecodingDiagnosis) -> None:
    name = next(iter(found.beams[0].measures))
    widths = [beam.width for beam in found.beams]
    if found.ceiling is None:
        lines = {"beam": [beam.measures[name] for beam in found.beams]}
    else:
        lines = {
            "looking ahead": [at.perfect[name] for at in found.look_ahead],
            "beam": [at.plain[name] for at in found.look_ahead],
        }
        panel.axhline(found.ceiling[name], color=QUIET, linewidth=1.1, linestyle=_DASHES)
        at = (widths[0], found.ceiling[name])
        label(panel, "all ids ranked", at, (2, 4), color=QUIET)
    for colour, (text, values) in zip((SERIES[1], SERIES[0])[-len(lines) :], lines.items(), strict=True):
        panel.plot(widths, values, "o-", color=colour, linewidth=1.8, markersize=4.5, label=text)
    panel.set(xscale="log", xlabel="beam", ylabel=name)
    panel.set_xticks(widths, [f"{width}" for width in widths])
    panel.minorticks_off()
    most = max(map(max, lines.values()))
    panel.set_ylim(0, 1.18 * max(most, found.ceiling[name] if found.ceiling else 0.0) or 1.0)
    panel.set_title(f"{name} by width")
    panel.legend(loc="lower right")


def _levels(panel: Axes, found: DecodingDiagnosis) -> None:
    levels = np.arange(1, len(found.beams[0].prefix_recall) + 1)
    named = 2.0  # height of the last name, so that no two lie on each other
    for shade, beam in list(zip(np.linspace(0.3, 1, len(found.beams)), found.beams, strict=True))[::-1]:
        panel.plot(
            levels, beam.prefix_recall, "o-", color=SERIES[0], alpha=shade, linewidth=1.8, markersize=4
        )
        if abs(named - beam.prefix_recall[-1]) > 0.04:
            named = beam.prefix_recall[-1]
            label(panel, f"{beam.width}", (levels[-1], named), (6, -3), color=INK, fontsize=8)
    panel.set_xticks(levels)
    panel.margins(x=0.1)
    panel.set_ylim(0, 1.02)
    panel.set(xlabel="tokens of the id", ylabel="share still in the beam")
    panel.set_title("Relevant prefixes kept, by width")


def divergence_panel(panel: Axes, found: DecodingDiagnosis) -> None:
    """KL divergence against the share of the catalogue that stays; both logarithmic."""
    shares = [at.share for at in found.divergence]
    lines = {
        "whole id": ([at.whole_key for at in found.divergence], SERIES[2], "o-"),
        "first token": ([at.first_token for at in found.divergence], SERIES[0], "o-"),
        "first token by formula": ([at.predicted for at in found.divergence], QUIET, "--"),
    }
    for text, (values, colour, mark) in lines.items():
        panel.plot(shares, values, mark, color=colour, linewidth=1.6, markersize=4.5, label=text)
    panel.set(xscale="log", xlabel="share of the ids that stays", ylabel="nats")
    if all(value > 0 for values, _, _ in lines.values() for value in values):
        panel.set_yscale("log")
        plain_decades(panel.yaxis)
    plain_decades(panel.xaxis, factor=100, unit=" %")
    panel.set_title("Divergence by masking")
    panel.legend(loc="lower left")
