"""How far long work is, on stderr: a bar with ETA on a terminal, else one plain line every ten seconds.

Knows nothing of the work. Standard output stays clean for results; short work prints nothing where
stderr is a file.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 10.0
_bars: list[Bars] = []  # the one display of this terminal; nested work adds its rows to it


class Progress:
    """A counter that shows itself while it is entered.

    Args:
        total: units of work; None where it is not known.
        description: what is being done, a few words.
        start: units done before (a resumed run): shown, but left out of the estimate.
    """

    def __init__(self, total: int | None, description: str, *, start: int = 0) -> None:
        self.total, self.description, self.done = total, description, start
        self._start = start
        self._figures = ""
        self._bar: Bars | None = None
        self._task: TaskID | None = None
        self._owns_bar = False

    def __enter__(self) -> Progress:
        self._began = self._spoke = time.monotonic()
        if sys.stderr.isatty():
            self._owns_bar = not _bars
            if self._owns_bar:
                _bars.append(_terminal_bars())
                _bars[0].start()
            self._bar = _bars[0]
            self._task = self._bar.add_task(
                self.description, total=self.total, completed=self.done, figures=""
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.remove_task(self._task)
        if self._owns_bar:
            _bars.pop().stop()

    def advance(self, n: int = 1, /, **figures: float) -> None:
        """Count `n` more units; `figures` (a loss, a rate) are shown until they are given again."""
        self.done += n
        if figures:
            self._figures = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=n, figures=self._figures)
        elif time.monotonic() - self._spoke >= SECONDS_BETWEEN_LINES:
            self._spoke = time.monotonic()
            print(self.line(), file=sys.stderr, flush=True)

    def line(self) -> str:
        """The state in one line.

        >>> Progress(10, "encode", start=4).line()
        'encode: 4/10'
        """
        of = f"/{self.total}" if self.total is not None else ""
        parts = [f"{self.description}: {self.done}{of}"]
        fresh = self.done - self._start
        if fresh and self.total is not None:
            left = (time.monotonic() - self._began) / fresh * (self.total - self.done)
            parts.append(f"{left:.0f} s left")
        return ", ".join([*parts, *([self._figures] if self._figures else [])])


def track(iterable: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items and show how many were taken.

    >>> list(track([1, 2], "count"))
    [1, 2]
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    with Progress(total, description) as progress:
        for item in iterable:
            yield item
            progress.advance()


def _terminal_bars() -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
        console=Console(stderr=True),
        transient=True,
    )
