"""Canvas: the one style of every figure, and how a figure becomes a file.

Knows no figure's content. Nothing here touches a display, a window or global plotting state.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrograd.artifacts import write_bytes_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

INK, QUIET, FAINT = "#1f2933", "#6b7683", "#e4e8ec"
SERIES = ("#2563a8", "#d97706", "#0a7d62", "#9333a8", "#c2410c", "#5b6570")
"""Lines of one panel, in order."""

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": QUIET,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "figure.facecolor": "white",
}


def label(
    panel: Axes, text: str, at: tuple[float, float], offset: tuple[float, float], **options: Any
) -> None:
    """Write `text` beside a point, `offset` points away from it."""
    panel.annotate(text, at, xytext=offset, textcoords="offset points", **({"fontsize": 9} | options))


def plain_decades(axis: Axis, *, factor: float = 1.0, unit: str = "") -> None:
    """Plain numbers on a logarithmic axis, at 1, 2 and 5 where it spans a few decades only.

    Args:
        factor: what values are multiplied by before they are shown, for instance 100 with `unit` %.
    """
    from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

    low, high = sorted(axis.get_view_interval())
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(lambda value, _: f"{factor * value:,.10g}{unit}")


def footnote(figure: Figure, text: str) -> None:
    """Small print below the figure, wrapped to its width."""
    from textwrap import fill

    width = int(figure.get_figwidth() * 14.5)
    figure.supxlabel(fill(text, width), x=0.012, ha="left", fontsize=8, color=QUIET)


@contextmanager
def style() -> Iterator[None]:
    """Figures made inside look alike; global settings are as before afterwards."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        yield


def save(figure: Figure, path: Path) -> None:
    """Write a PNG, atomically; the same figure gives the same bytes."""
    # Without the version of the plotting library in it, the same figures give the same bytes.
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=160, metadata={"Software": None})
    write_bytes_atomic(path, buffer.getvalue())
