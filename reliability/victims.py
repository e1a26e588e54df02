"""Child processes that are killed at a moment of our choosing.

They fork from a server that has the heavy imports behind it, so a kill lands in the work and not in
an import.
"""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class KillReport:
    """What the kills did."""

    kills: int
    """Children killed while they worked."""

    finished_runs: int
    """Runs resumed to their end and compared."""

    differences: tuple[str, ...]
    """One line per run that ended differently; empty is what is promised."""


def start(work: Callable[..., Any], *arguments: Any) -> Any:
    """Begin `work(*arguments)` in a child."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([work.__module__])
    child = context.Process(target=work, args=arguments, daemon=True)
    child.start()
    return child


def finish(child: Any) -> None:
    """Wait for its end.

    Raises:
        RuntimeError: it failed.
    """
    child.join()
    if child.exitcode != 0:
        raise RuntimeError(f"the child ended with exit code {child.exitcode} without being killed")


def killed(child: Any, seconds: float) -> bool:
    """Kill it after so long; False where it was done before that."""
    child.join(timeout=seconds)
    if child.exitcode is not None:
        finish(child)
        return False
    child.kill()
    child.join()
    return bool(child.exitcode != 0)


def place_of(error: BaseException) -> str:
    """The last line of ours that an error went through."""
    found = ""
    for frame in traceback.extract_tb(error.__traceback__):
        _, ours, name = frame.filename.rpartition("/retrograd/")
        found = f"({name}:{frame.lineno})" if ours else found
    return found
