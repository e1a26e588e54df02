"""Readers and a writer on one server over real HTTP: no error, nothing deleted comes back, nothing grows.

    python -m reliability.mixed_load --minutes 30

First the readers alone, then the same readers beside a writer who adds, replaces and deletes documents.
An answer is stale if it holds a document whose deletion was acknowledged before the question was sent; a
document is missing if its own writer does not find it after its addition was acknowledged. Readers are
processes of their own; all clocks are the machine's monotonic one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reliability.servers import Client, Running, running

WORDS = (
    "estimate depth from one image",
    "translate a text into German",
    "classify sounds of a city",
    "a robot that walks",
    "summarise a long article",
    "speech to text",
)
MARK = "zebra crossings of Reykjavik"
"""What every document of the writer says, and every other question asks for."""

PREFIX = "live-"


@dataclass(frozen=True)
class Phase:
    """What readers saw for a while."""

    seconds: float
    answers: int
    errors: int
    stale: int
    p50_ms: float
    p99_ms: float
    why: tuple[str, ...] = ()
    """The errors by what the server said, and how often."""

    fewest: int = 0
    """Answers of the reader that got the fewest: far below an equal share, somebody was not served."""


@dataclass(frozen=True)
class Sample:
    """The server at one moment, as it says itself."""

    at: float
    """Seconds since the first."""

    megabytes: float
    descriptors: int


@dataclass(frozen=True)
class LoadReport:
    """Both phases and what the writer did."""

    alone: Phase
    beside: Phase
    changes: int
    change_errors: int
    change_p99_ms: float
    missing: int
    samples: tuple[Sample, ...]
    """While the writer wrote."""

    change_why: tuple[str, ...] = ()
    """The errors of changes by what the server said, and how often."""

    @property
    def why(self) -> tuple[str, ...]:
        """All errors by what the server said."""
        return (*self.alone.why, *self.beside.why, *self.change_why)

    @property
    def growth(self) -> float:
        """Resident memory in the last quarter over that in the second: 1 where it is flat."""
        quarter = max(1, len(self.samples) // 4)
        second, last = self.samples[quarter : 2 * quarter], self.samples[-quarter:]
        means = [sum(one.megabytes for one in part) / max(1, len(part)) for part in (second, last)]
        return means[1] / means[0] if means[0] else 1.0

    @property
    def descriptor_growth(self) -> int:
        """Open descriptors at the end minus those after the first quarter."""
        return self.samples[-1].descriptors - self.samples[len(self.samples) // 4].descriptors


def mixed_load(
    folder: Path, seconds: float, *, alone_seconds: float, readers: int = 8, pause: float = 0.5
) -> LoadReport:
    """Load a server over `folder`, which is changed.

    Args:
        seconds: with the writer.
        alone_seconds: without, before that.
        pause: seconds between two changes.
    """
    with running([f"load={folder}"]) as server:
        _read(server, readers, 1.0)  # what is made at the first question is nobody's latency
        alone, _ = _read(server, readers, alone_seconds)
        writer = Writer(server.port, pause)
        watch = Watch(server.port, max(0.2, min(5.0, seconds / 40)))
        with _beside(writer, watch):
            _, found = _read(server, readers, seconds)
        beside = _phase(found, seconds, writer.gone)
        code = server.stop()
    errors = writer.refused.total() + (code != 0)
    took = sorted(writer.took) or [0.0]
    return LoadReport(
        alone,
        beside,
        len(writer.took),
        errors,
        1000 * took[int(0.99 * (len(took) - 1))],
        writer.missing,
        tuple(watch.samples),
        _counted(writer.refused),
    )


@contextmanager
def _beside(*works: Callable[[threading.Event], None]) -> Iterator[None]:
    """Threads that work until the block ends, which sets their event."""
    done = threading.Event()
    threads = [threading.Thread(target=work, args=(done,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


class Writer:
    """Adds, replaces and deletes documents, one at a time, and looks for each."""

    def __init__(self, port: int, pause: float) -> None:
        self._client, self._pause = Client(port), pause
        self.gone: dict[str, float] = {}
        """Document -> when its deletion was acknowledged."""

        self.took: list[float] = []
        self.missing = 0
        self.refused: Counter[str] = Counter()

    def __call__(self, done: threading.Event) -> None:
        """Until done."""
        number = 0
        while not done.is_set():
            name = f"{PREFIX}{number}"
            for text in (MARK, f"{MARK} again"):
                if self._change("PUT", name, {"title": f"zebra {number}", "text": text}):
                    self.missing += not self._finds(name, text)
                done.wait(self._pause)
            if self._change("DELETE", name, None):
                self.gone[name] = time.monotonic()
            done.wait(self._pause)
            number += 1

    def _change(self, method: str, name: str, body: Any) -> bool:
        began = time.monotonic()
        status, told = self._client.ask(method, f"/v1/systems/load/documents/{name}", body)
        self.took.append(time.monotonic() - began)
        if status != 200:
            self.refused[f"{method} {status} {told!s:.200}"] += 1
        return status == 200

    def _finds(self, name: str, text: str) -> bool:
        """Read back by id: which rank a search gives it is the recipe's business."""
        status, found = self._client.ask("GET", f"/v1/systems/load/documents/{name}")
        return status == 200 and found["text"] == text


class Watch:
    """Reads memory and descriptors of the server."""

    def __init__(self, port: int, every: float) -> None:
        self._client, self._every, self._began = Client(port), every, time.monotonic()
        self.samples: list[Sample] = []

    def __call__(self, done: threading.Event) -> None:
        """Until done."""
        while not done.is_set():
            _, text = self._client.ask("GET", "/metrics")
            figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
            resident, descriptors = figures["process_resident_memory_bytes"], figures["process_open_fds"]
            at = time.monotonic() - self._began
            self.samples.append(Sample(at, float(resident) / 2**20, int(float(descriptors))))
            done.wait(self._every)


def _read(server: Running, readers: int, seconds: float) -> tuple[Phase, list[dict[str, Any]]]:
    """What readers saw, and their answers one by one."""
    command = [sys.executable, "-m", "reliability.mixed_load", "--read", str(server.port)]
    with ExitStack() as opened:
        # a pipe that nobody empties would fill up and stop its reader
        files = [opened.enter_context(tempfile.TemporaryFile("w+")) for _ in range(readers)]
        processes = [
            subprocess.Popen([*command, "--seconds", str(seconds), "--number", str(number)], stdout=file)
            for number, file in enumerate(files)
        ]
        ended = [process.wait() for process in processes]
        if any(ended):
            raise RuntimeError(f"readers ended with {ended}")
        for file in files:
            file.seek(0)
        found = [json.loads(line) for file in files for line in file]
    return _phase(found, seconds, {}), found


def _phase(found: Sequence[dict[str, Any]], seconds: float, gone: dict[str, float]) -> Phase:
    took = sorted(one["took"] for one in found) or [0.0]
    stale = sum(gone.get(name, one["at"]) < one["at"] for one in found for name in one["ids"])
    fewest = min(Counter(one["reader"] for one in found).values(), default=0)
    refused = Counter(f"{one['status']} {one['why']}" for one in found if one["status"] != 200)
    errors = refused.total() + (not found)
    p50, p99 = (1000 * took[int(share * (len(took) - 1))] for share in (0.5, 0.99))
    return Phase(seconds, len(found), errors, stale, p50, p99, _counted(refused), fewest)


def _counted(refused: Counter[str]) -> tuple[str, ...]:
    return tuple(f"{what} ({count} x)" for what, count in refused.most_common())


def _reader(port: int, seconds: float, number: int) -> None:
    """Ask without a pause; one line per answer."""
    client, until, asked = Client(port), time.monotonic() + seconds, number
    while (at := time.monotonic()) < until:
        text = MARK if asked % 2 else f"{WORDS[asked // 2 % len(WORDS)]} {asked}"
        try:
            status, body = client.ask("POST", "/v1/systems/load/search", {"query": text, "k": 10})
        except OSError as error:
            status, body = 0, {"error": type(error).__name__}
        took = time.monotonic() - at
        hits = [hit["id"] for result in body.get("results", ()) for hit in result["hits"]]
        ids = [name for name in hits if name.startswith(PREFIX)]
        why = "" if status == 200 else str(body)[:200]
        line = {"reader": number, "at": at, "took": took, "status": status, "ids": ids, "why": why}
        print(json.dumps(line))
        asked += 1


def table(report: LoadReport) -> str:
    """The report in Markdown."""
    rows = [
        "| readers | seconds | answers | errors | stale | p50 ms | p99 ms |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, phase in (("alone", report.alone), ("beside a writer", report.beside)):
        rows.append(
            f"| {name} | {phase.seconds:.0f} | {phase.answers:,} | {phase.errors} | {phase.stale} | "
            f"{phase.p50_ms:.1f} | {phase.p99_ms:.1f} |"
        )
    first, last = report.samples[len(report.samples) // 4], report.samples[-1]
    ratio = report.beside.p99_ms / max(report.alone.p99_ms, 1e-9)
    rows += ["", *report.why]
    rows.append(
        f"{report.changes:,} changes, {report.change_errors} errors, {report.missing} missing, "
        f"p99 of a change {report.change_p99_ms:.0f} ms; "
        f"p99 of the readers beside the writer over alone: {ratio:.2f}"
    )
    rows.append(
        f"memory {first.megabytes:.0f} MB after a quarter, {last.megabytes:.0f} MB at the end "
        f"(growth {report.growth:.3f}); descriptors {first.descriptors} and {last.descriptors}"
    )
    return "\n".join(rows)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="with the writer")
    parser.add_argument("--alone-minutes", type=float, help="without; a fifth of that where not given")
    parser.add_argument("--readers", type=int, default=8)
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between two changes")
    parser.add_argument("--system", type=Path, help="a fitted system, which is changed; else a small one")
    parser.add_argument("--read", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--number", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        _reader(given.read, given.seconds, given.number)
        return
    alone = 60 * (given.minutes / 5 if given.alone_minutes is None else given.alone_minutes)
    with tempfile.TemporaryDirectory() as name:
        folder = given.system or _small(Path(name))
        report = mixed_load(
            folder, 60 * given.minutes, alone_seconds=alone, readers=given.readers, pause=given.pause
        )
    print(table(report))
    wrong = report.alone.errors + report.beside.errors + report.beside.stale + report.missing
    raise SystemExit(bool(wrong + report.change_errors))


def _small(folder: Path) -> Path:
    from reliability.small_served import small_systems

    return small_systems(folder)[-1]


if __name__ == "__main__":
    main()
