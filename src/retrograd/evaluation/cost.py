"""Cost: what an answer takes in time and memory, and what a document takes on disk.

Sees a searcher only from outside. Figures are of this process on this machine; compare them only with
others taken side by side, and switch off caches of query vectors before, or they measure the cache.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from types import TracebackType

import numpy as np

from retrograd.errors import InputError
from retrograd.types import Query, Searcher


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How many calls the figures rest on."""

    k: int = 100
    """Answers asked for per query."""

    warm_up: int = 5
    """Single calls before the clock starts, with queries from the end of the list."""

    single: int = 200
    """Most single calls that are timed; each query is asked once."""

    def __post_init__(self) -> None:
        if self.k < 1 or self.single < 1 or self.warm_up < 0:
            raise InputError("k and single must be at least 1, warm_up at least 0")


@dataclass(frozen=True)
class Cost:
    """Time and memory of answering."""

    latency_p50_ms: float
    """Median over single-query calls."""

    latency_p95_ms: float
    queries_per_second: float
    """All queries in one call."""

    peak_memory_mib: float
    """Highest resident memory of the process while that call ran, model and libraries included."""

    def columns(self) -> dict[str, float]:
        """The figures under the headings of a comparison."""
        return {
            "p50 ms": self.latency_p50_ms,
            "p95 ms": self.latency_p95_ms,
            "queries/s": self.queries_per_second,
            "peak MiB": self.peak_memory_mib,
        }


def measure_cost(searcher: Searcher, queries: Sequence[Query], timing: Timing | None = None) -> Cost:
    """Latency of single calls after warm-up, then throughput and peak memory of one large call.

    Raises:
        InputError: no query to ask.
    """
    if not queries:
        raise InputError("no query to time; give at least one")
    how = timing or Timing()
    for query in queries[len(queries) - min(how.warm_up, len(queries)) :]:
        searcher.search([query], how.k)
    latencies = [_seconds(searcher, [query], how.k) for query in queries[: how.single]]
    p50, p95 = np.quantile(latencies, [0.5, 0.95]) * 1000
    with PeakMemory() as memory:
        seconds = _seconds(searcher, queries, how.k)
    return Cost(float(p50), float(p95), len(queries) / seconds, memory.peak_bytes / 2**20)


def bytes_per_document(paths: Iterable[Path], num_documents: int) -> float:
    """Size on disk of files, and of everything in folders, divided by the documents they index.

    Raises:
        InputError: a path that does not exist, or no document.
    """
    if num_documents < 1:
        raise InputError(f"num_documents={num_documents} must be at least 1")
    total = 0
    for path in paths:
        if not path.exists():
            raise InputError("does not exist, so its size cannot be measured", path=path)
        files = path.rglob("*") if path.is_dir() else [path]
        total += sum(file.stat().st_size for file in files if file.is_file())
    return total / num_documents


class PeakMemory:
    """Highest resident memory of this process while the block runs, sampled every few milliseconds.

    The kernel's own high-water mark never falls, so it cannot compare two systems in one process.
    """

    def __init__(self, interval_ms: float = 2.0) -> None:
        self.peak_bytes = 0
        self._interval_ms = interval_ms
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._look()
        self._sampler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._sampler.join()
        self._look()

    def _look(self) -> None:
        import psutil

        self.peak_bytes = max(self.peak_bytes, int(psutil.Process().memory_info().rss))

    def _sample(self) -> None:
        while not self._done.wait(self._interval_ms / 1000):
            self._look()


def _seconds(searcher: Searcher, queries: Sequence[Query], k: int) -> float:
    start = perf_counter()
    searcher.search(queries, k)
    return max(perf_counter() - start, 1e-9)
