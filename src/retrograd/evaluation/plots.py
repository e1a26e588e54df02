"""Plots: comparisons and training curves as PNG, in one style.

Decides only how figures look. Draws on its own canvas, so no display, window or global plotting state
is touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from retrograd.evaluation.canvas import FAINT, INK, QUIET, SERIES, footnote, label, save, style
from retrograd.evaluation.compare import DECIMALS, Cell, Comparison
from retrograd.evaluation.tables import MARKS, caption
from retrograd.evaluation.training_log import Curves, read_training_log

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"better": "#0a7d62", "worse": "#c2410c", "": "#8a94a0", "baseline": "#1f2933"}
"""Readable without red-green vision: the marks also differ in shape."""


def plot_comparison(comparison: Comparison, path: Path) -> None:
    """A panel per measure: a dot per system, its bootstrap interval, the baseline as a dashed line."""
    from matplotlib.figure import Figure

    names = len(max(comparison.systems, key=len)) * 0.085 + 0.3
    columns = min(len(comparison.measures), 4)
    rows = -(-len(comparison.measures) // columns)
    height = 0.36 * len(comparison.systems) + 0.75
    with style():
        figure = Figure(figsize=(names + 2.75 * columns, rows * height + 0.9), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
        for panel, measure in zip(panels, comparison.measures, strict=False):
            _draw_measure(panel, comparison, measure)
        for panel in panels[len(comparison.measures) :]:
            panel.set_visible(False)
        if comparison.title:
            figure.suptitle(comparison.title, x=0.012, ha="left", fontsize=13, fontweight="bold")
        note = f"Bars: {comparison.level:.0%} bootstrap intervals. {caption(comparison, deviation=False)}"
        footnote(figure, note)
        save(figure, path)


def plot_training(metrics_path: Path, png_path: Path) -> None:
    """Loss terms, validation measures and learning rate over the steps of all stages.

    Raises:
        InputError: the log is missing, malformed (named by line) or holds no figure.
    """
    from matplotlib.figure import Figure

    log = read_training_log(metrics_path)
    wanted = [
        (_draw_losses, 2.4, log.losses),
        (_draw_validations, 1.7, log.validations),
        (_draw_rate, 0.9, log.rates),
    ]
    rows = [(draw, height, curves) for draw, height, curves in wanted if curves]
    heights = [height for _, height, _ in rows]
    with style():
        figure = Figure(figsize=(8.4, 1.25 * sum(heights) + 0.6), layout="constrained")
        panels = figure.subplots(len(rows), 1, squeeze=False, sharex=True, height_ratios=heights).ravel()
        for (draw, _, curves), panel in zip(rows, panels, strict=True):
            draw(panel, curves)
            for _, start in log.stages[1:]:
                panel.axvline(start, color=QUIET, linewidth=0.8, linestyle=(0, (2, 3)))
        if len(log.stages) > 1:
            _name_stages(panels[0], log.stages)
        panels[-1].set_xlabel("step")
        panels[-1].set_xlim(0, max(log.steps, 1) * 1.03)
        save(figure, png_path)


def _draw_measure(panel: Axes, comparison: Comparison, measure: str) -> None:
    base = comparison.cells[comparison.baseline, measure].interval.mean
    best = comparison.best(measure)
    panel.axvline(base, color=COLOURS["baseline"], linewidth=0.9, linestyle=(0, (3, 3)), zorder=1)
    for row, system in enumerate(comparison.systems):
        cell = comparison.cells[system, measure]
        kind = "baseline" if system == comparison.baseline else cell.mark
        _draw_cell(panel, row, cell, kind, bold=system in best)
    panel.set_title(measure)
    panel.set_yticks(range(len(comparison.systems)), comparison.systems)
    panel.tick_params(axis="y", labelcolor=INK)
    panel.set_ylim(len(comparison.systems) - 0.4, -0.6)
    panel.grid(axis="y", visible=False)
    panel.spines["left"].set_visible(False)
    panel.locator_params(axis="x", nbins=5)


def _draw_cell(panel: Axes, row: int, cell: Cell, kind: str, *, bold: bool) -> None:
    shape, size = {"better": ("^", 8.5), "worse": ("v", 8.5), "": ("o", 7), "baseline": ("D", 6.5)}[kind]
    colour, interval = COLOURS[kind], cell.interval
    panel.plot(
        [interval.low, interval.high],
        [row, row],
        color=colour,
        linewidth=2.2,
        alpha=0.45,
        solid_capstyle="round",
    )
    panel.plot(
        interval.mean, row, shape, color=colour, markersize=size, markeredgecolor="white", markeredgewidth=0.8
    )
    text = f"{interval.mean:.{DECIMALS}f} {MARKS[cell.mark]}".strip()
    look = {"color": colour if cell.mark else INK, "fontweight": "bold" if bold else "normal", "va": "center"}
    label(panel, text, (1, row), (5, 0), xycoords=("axes fraction", "data"), **look)


def _draw_losses(panel: Axes, losses: Curves) -> None:
    panel.set_title("Loss")
    values = [v for curves in losses.values() for curve in curves for v in curve.values if isfinite(v)]
    if values and min(values) > 0 and max(values) > 30 * min(values):
        panel.set_yscale("log")
    colours = cycle(SERIES)
    for name, curves in losses.items():
        colour = INK if name == "total" else next(colours)
        for part, curve in enumerate(curves):
            label = None if part else name
            panel.plot(curve.steps, curve.values, color=colour, linewidth=0.8, alpha=0.3)
            panel.plot(curve.steps, curve.smoothed(), color=colour, linewidth=1.8, label=label)
    panel.margins(y=0.12)  # room for the names of the stages
    panel.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0, ncols=min(4, len(losses)))


def _draw_validations(panel: Axes, validations: Curves) -> None:
    panel.set_title(f"Validation {', '.join(validations)}")
    for colour, curves in zip(cycle(SERIES), validations.values(), strict=False):
        for curve in curves:
            panel.plot(curve.steps, curve.values, "-o", color=colour, linewidth=1.6, markersize=3.5)
            step, value = max(zip(curve.steps, curve.values, strict=True), key=lambda point: point[1])
            panel.plot(step, value, "o", color=colour, markersize=8, markeredgecolor=INK)
            label(panel, f"{value:.{DECIMALS}f}", (step, value), (0, 7), ha="center", fontweight="bold")
    panel.margins(y=0.25)


def _draw_rate(panel: Axes, rates: Curves) -> None:
    panel.set_title("Learning rate")
    for curve in rates["learning rate"]:
        panel.plot(curve.steps, curve.values, color=QUIET, linewidth=1.4)
        panel.fill_between(curve.steps, curve.values, color=FAINT, linewidth=0)
    panel.set_ylim(bottom=0)
    panel.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))


def _name_stages(panel: Axes, stages: Iterable[tuple[str, float]]) -> None:
    for name, start in stages:
        label(panel, name, (start, 1), (4, -9), xycoords=("data", "axes fraction"), color=QUIET)
