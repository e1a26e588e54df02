"""Plots: a diagnosis as PNG figures, in the style of all others.

Decides only how figures look.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import cycle
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from retrograd.errors import InputError
from retrograd.evaluation.canvas import INK, QUIET, SERIES, footnote, label, plain_decades, save, style
from retrograd.evaluation.diagnostics.gradients import NORM, gradient_summary
from retrograd.evaluation.diagnostics.tables import figure
from retrograd.evaluation.training_log import TrainingLog, read_training_log

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from retrograd.evaluation.diagnostics.hubness import Hubness
    from retrograd.evaluation.diagnostics.popularity import PopularityAudit
    from retrograd.evaluation.diagnostics.report import Diagnosis

MOST_LEVELS = 6
"""Levels drawn side by side; ids of more are words or long strings."""

FEW = 3
"""So many systems have their names inside the panel; those of more stand above it."""

_DASHES = (0, (4, 3))


def plot_diagnosis(diagnosis: Diagnosis, folder: Path, metrics: Path | None = None) -> list[Path]:
    """Write every figure the diagnosis allows into an existing folder and return the files.

    Args:
        metrics: the training log whose gradients are drawn, if there is one.
    """
    named = {
        name.removesuffix("lists").strip() or diagnosis.name: hubs
        for name, hubs in diagnosis.hubness.items()
        if name.endswith("lists")
    }
    files = [folder / "hubness.png"]
    hubness_figure(named, files[0])
    if diagnosis.popularity:
        files.append(folder / "popularity.png")
        popularity_figure(diagnosis.popularity, files[-1])
    if diagnosis.codes is not None and len(diagnosis.codes.usage) <= MOST_LEVELS:
        files.append(folder / "codes.png")
        code_usage_figure(diagnosis, files[-1])
    if diagnosis.norms:
        files.append(folder / "norms.png")
        norm_figure(diagnosis, files[-1])
    if metrics is not None and diagnosis.gradients:
        files.append(folder / "gradients.png")
        gradient_figure({diagnosis.name: metrics}, files[-1])
    return files


def hubness_figure(hubs: Mapping[str, Hubness], path: Path) -> None:
    """How many documents stand in how many lists, and who has how much of the exposure; chance dashed.

    Args:
        hubs: system -> hubness of its lists, all of the same queries.
    """
    from matplotlib.figure import Figure

    with style():
        canvas = Figure(figsize=(9.2, 3.9), layout="constrained")
        tail, lorenz = canvas.subplots(1, 2)
        chance = next(iter(hubs.values()))
        for colour, (name, found) in reversed(list(zip(_colours(), hubs.items(), strict=False))):
            counts = np.sort(found.counts)[::-1]
            levels = np.unique(counts[counts > 0])
            shares = np.array([(counts >= level).mean() for level in levels])
            text = f"{name}: {found.never:.0%} never shown"
            tail.plot(levels, shares, drawstyle="steps-pre", color=colour, linewidth=1.8, label=text)
            if len(levels):
                tail.plot(levels[-1], shares[-1], "o", color=colour, markersize=4.5)
            held = np.cumsum(counts) / max(1, counts.sum())
            lorenz.plot(
                np.arange(1, len(counts) + 1) / len(counts),
                held,
                color=colour,
                linewidth=1.8,
                label=f"{name}: Gini {found.gini:.2f}",
            )
        levels, shares = _by_chance(chance)
        if len(levels):
            tail.plot(levels, shares, color=QUIET, linewidth=1.1, linestyle=_DASHES)
            label(tail, "random lists", (levels[-1], shares[-1]), (-4, -2), ha="right", color=QUIET)
        lorenz.plot([0, 1], [0, 1], color=QUIET, linewidth=1.1, linestyle=_DASHES)
        label(lorenz, "all alike", (0.5, 0.5), (8, -12), color=QUIET)
        tail.set(xscale="log", yscale="log", xlabel="lists, at least", ylabel="share of the documents")
        tail.set_ylim(0.5 / chance.num_documents, 1.2)
        plain_decades(tail.xaxis)
        plain_decades(tail.yaxis, factor=100, unit=" %")
        tail.set_title(f"Documents in so many top-{chance.k} lists")
        lorenz.set(xlabel="share of the documents, most shown first", ylabel="share of all answers")
        lorenz.set_title("Who is shown")
        if len(hubs) <= FEW:
            tail.legend(*_subject_first(tail), loc="upper right")
            lorenz.legend(*_subject_first(lorenz), loc="lower right")
        else:
            handles, names = _subject_first(tail)
            names = [
                f"{text}, Gini {found.gini:.2f}" for text, found in zip(names, hubs.values(), strict=True)
            ]
            canvas.legend(handles, names, loc="outside upper left", ncols=2)
        footnote(canvas, f"{chance.num_lists:,} lists over {chance.num_documents:,} documents.")
        save(canvas, path)


def _subject_first(panel: Axes) -> tuple[list[Artist], list[str]]:
    """What a legend says: the subject is drawn last, on top of the others, and named first."""
    handles, names = panel.get_legend_handles_labels()
    return handles[::-1], names[::-1]


def _by_chance(found: Hubness) -> tuple[np.ndarray, np.ndarray]:
    """What lists drawn at random would show: counts, and the share of documents with at least as many."""
    from scipy.stats import binom

    chance = min(1.0, float(found.counts.sum()) / (found.num_lists * found.num_documents))
    levels = np.arange(1, found.num_lists + 1)
    shares = binom.sf(levels - 1, found.num_lists, chance)
    seen = shares > 0.5 / found.num_documents
    return levels[seen], shares[seen]


def popularity_figure(audits: Mapping[str, PopularityAudit], path: Path) -> None:
    """HitRate per part of the catalogue, head first, with its bootstrap interval; a bar per system.

    Args:
        audits: system -> audit, all of the same judgements and popularity.
    """
    from matplotlib.figure import Figure

    with style():
        first = next(iter(audits.values()))
        canvas = Figure(figsize=(2.6 + 1.15 * len(first.slices), 3.9), layout="constrained")
        panel = canvas.subplots()
        width = 0.8 / len(audits)
        for at, (colour, (name, audit)) in enumerate(zip(_colours(), audits.items(), strict=False)):
            places = np.arange(len(audit.slices)) + (at - (len(audits) - 1) / 2) * width
            means = [part.hit_rate.mean for part in audit.slices]
            panel.bar(places, means, width * 0.92, color=colour, label=name)
            _whiskers(panel, places, audit)
        names = [
            f"{'never taken' if part.name == 'none' else part.name}\n{_span(part.least, part.most)}\n"
            f"{part.num_queries:,} queries"
            for part in first.slices
        ]
        panel.set_xticks(range(len(names)), names)
        highest = max(max(p.hit_rate.mean, p.hit_rate.high) for a in audits.values() for p in a.slices)
        panel.set_ylim(0, min(1.02, 1.25 * highest) or 1.0)
        panel.grid(axis="x", visible=False)
        panel.set_title(f"HitRate@{first.k} by popularity of what is wanted, head to tail")
        if len(audits) <= FEW:
            panel.legend(loc="upper right", ncols=2)
        else:
            canvas.legend(*panel.get_legend_handles_labels(), loc="outside upper left", ncols=4)
        footnote(
            canvas,
            "Under each part: times its documents were taken; queries that want one of them. "
            "Lines: bootstrap intervals over queries.",
        )
        save(canvas, path)


def _whiskers(panel: Axes, places: np.ndarray, audit: PopularityAudit) -> None:
    for place, part in zip(places.tolist(), audit.slices, strict=True):
        if isfinite(part.hit_rate.low):
            panel.plot([place, place], [part.hit_rate.low, part.hit_rate.high], color=INK, linewidth=1.2)


def _span(least: float, most: float) -> str:
    return f"{least:g} times" if least == most else f"{least:g} to {most:g} times"


def code_usage_figure(diagnosis: Diagnosis, path: Path) -> None:
    """Documents per code at each level, most used code first; an even level dashed.

    Raises:
        InputError: the diagnosis has no ids.
    """
    from matplotlib.figure import Figure

    if diagnosis.codes is None:
        raise InputError(f"{diagnosis.name} has no ids to draw")
    usage, levels = diagnosis.codes.usage, diagnosis.codes.report.levels
    with style():
        canvas = Figure(figsize=(1.0 + 2.7 * len(usage), 3.3), layout="constrained")
        panels = canvas.subplots(1, len(usage), squeeze=False, sharey=True).ravel()
        for number, (panel, counts, level) in enumerate(zip(panels, usage, levels, strict=True), 1):
            ordered = np.sort(counts)[::-1].astype(float)
            ordered[ordered == 0] = np.nan  # a logarithm has no place for dead codes: the line ends
            panel.plot(np.arange(1, len(ordered) + 1), ordered, color=SERIES[0], linewidth=1.8)
            even = counts.sum() / len(counts)
            panel.plot([1, len(counts)], [even, even], color=QUIET, linewidth=1.1, linestyle=_DASHES)
            panel.set_xlabel("code, by use")
            panel.set_title(f"Level {number}")
            text = f"{level.used:,} of {level.size:,} used\nworth {level.perplexity:,.0f}"
            label(panel, text, (1, 1), (-6, -6), xycoords="axes fraction", ha="right", va="top", color=QUIET)
        panels[0].set(ylabel="documents", yscale="log")
        plain_decades(panels[0].yaxis)
        save(canvas, path)


def norm_figure(diagnosis: Diagnosis, path: Path) -> None:
    """Length of each code vector against how often it is a target, per level."""
    from matplotlib.figure import Figure

    levels = diagnosis.norms[:MOST_LEVELS]
    with style():
        canvas = Figure(figsize=(1.0 + 2.7 * len(levels), 3.3), layout="constrained")
        panels = canvas.subplots(1, len(levels), squeeze=False).ravel()
        for panel, level in zip(panels, levels, strict=True):
            used = level.frequencies > 0
            x, y = level.frequencies[used], level.norms[used]
            panel.plot(x, y, "o", color=SERIES[0], markersize=3.5, alpha=0.6, markeredgewidth=0)
            panel.set_xscale("log")
            plain_decades(panel.xaxis)
            panel.set_xlabel("frequency of the code")
            panel.set_title(f"Level {level.level}: Spearman {level.spearman:+.2f}")
        panels[0].set_ylabel("length of its vector")
        save(canvas, path)


def gradient_figure(logs: Mapping[str, Path], path: Path) -> None:
    """Norm of the gradient over the steps of several runs: faint as logged, strong smoothed.

    Wang et al., 2026 (arXiv 2603.10409) show this for soft and straight-through codes.

    Args:
        logs: name of the run -> its `metrics.jsonl`.

    Raises:
        InputError: no run, a log that cannot be read, or one without gradient norms.
    """
    from matplotlib.figure import Figure

    read = {name: _with_gradients(log) for name, log in logs.items()}
    if not read:
        raise InputError("no run to draw; name at least one metrics.jsonl")
    with style():
        canvas = Figure(figsize=(8.4, 3.9), layout="constrained")
        panel = canvas.subplots()
        for colour, (name, log) in zip(cycle(SERIES), read.items(), strict=False):
            text = f"{name}{_summed_up(log)}"
            for curve in log.gradients[NORM]:
                panel.plot(curve.steps, curve.values, color=colour, linewidth=0.7, alpha=0.35)
                panel.plot(curve.steps, curve.smoothed(), color=colour, linewidth=1.8, label=text)
                text = "_"  # a name that starts so stays out of the legend
        panel.set_xlabel("step")
        panel.set_xlim(left=0)
        if any(norm > 0 for log in read.values() for curve in log.gradients[NORM] for norm in curve.values):
            panel.set_yscale("log")
            plain_decades(panel.yaxis)
        panel.set_title("Gradient norm before clipping")
        # below the panel: spikes come early, late or both, so no corner is free for certain
        canvas.legend(*panel.get_legend_handles_labels(), loc="outside lower left", ncols=2)
        save(canvas, path)


def _with_gradients(log: Path) -> TrainingLog:
    read = read_training_log(log)
    if not read.gradients:
        raise InputError("holds no gradient norm; is it the metrics.jsonl of a fit?", path=log)
    return read


def _summed_up(log: TrainingLog) -> str:
    found = gradient_summary(log)
    if len(found) != 1:
        return ""
    return f": after warm-up median {figure(found[0].median)}, largest {figure(found[0].largest)}"


def _colours() -> Iterator[str]:
    """The subject strong, what it is read against quieter."""
    yield SERIES[0]
    yield "#a9b3bd"
    yield from cycle(SERIES[1:])
