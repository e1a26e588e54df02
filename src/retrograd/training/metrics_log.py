"""`metrics.jsonl`: one line per look at the training, appended; the file a plot is drawn from.

Knows JSON lines and their (stage, step) order. After a crash the lines behind the checkpoint are cut
off, so that the finished file equals an uninterrupted run's but for the field `seconds`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from retrograd.artifacts import from_json, storage_errors, write_bytes_atomic

METRICS = "metrics.jsonl"


class MetricsLog:
    """Open for one stage.

    Args:
        folder: where `metrics.jsonl` lies.
        stage_index: goes into each line as `stage`.
        step: lines of this stage after this step, and of later stages, are dropped first.
    """

    def __init__(self, folder: Path, stage_index: int, step: int) -> None:
        self.path, self.stage_index = folder / METRICS, stage_index
        kept = [line for line in read_metrics(folder) if (line["stage"], line["step"]) <= (stage_index, step)]
        write_bytes_atomic(self.path, b"".join(map(_line, kept)))
        self._stream = self.path.open("ab")

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with storage_errors(self.path):  # closing writes again what a full disk refused
            self._stream.close()

    def write(self, step: int, **figures: Any) -> None:
        """Append one line."""
        with storage_errors(self.path):
            self._stream.write(_line({"stage": self.stage_index, "step": step, **figures}))
            self._stream.flush()

    def sync(self) -> None:
        """Force the lines to the disk; called before a checkpoint that counts on them."""
        with storage_errors(self.path):
            os.fsync(self._stream.fileno())


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """All whole lines of `metrics.jsonl`; a line torn by a crash ends the list; [] where there is no file."""
    path = folder / METRICS
    if not path.is_file():
        return []
    lines: list[dict[str, Any]] = []
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            value = from_json(line) if line.endswith(b"\n") else None
        except ValueError:
            value = None
        if not isinstance(value, dict) or not {"stage", "step"} <= value.keys():
            break
        lines.append(value)
    return lines


def _line(value: dict[str, Any]) -> bytes:
    return (json.dumps(value) + "\n").encode()
