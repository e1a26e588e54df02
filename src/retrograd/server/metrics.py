"""What a monitor reads: counters, queues and latencies of one server, in Prometheus's text format.

Every app has a registry of its own. Labels are names of ours, never what a caller sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

if TYPE_CHECKING:
    from retrograd.server.hosted import Hosted

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1, 2, 4, 8, 16, 32, 64)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The figures of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "retrograd_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "retrograd_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._searches = Histogram(
            "retrograd_search_seconds",
            "One call of a system's search, for all questions of a batch.",
            ["system"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._batches = Histogram(
            "retrograd_batch_questions",
            "Questions answered in one call.",
            ["system"],
            buckets=SIZES,
            registry=self.registry,
        )
        self._changes = Counter(
            "retrograd_changes", "Changes made.", ["system", "action"], registry=self.registry
        )

    def watch(self, hosted: Iterable[Hosted]) -> None:
        """Read queue, generation and documents of these systems whenever somebody asks."""
        self.registry.register(_Systems(tuple(hosted)))

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request was answered."""
        self._requests.labels(method if method in METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, system: str, questions: int, seconds: float) -> None:
        """One call of a search returned."""
        self._searches.labels(system).observe(seconds)
        self._batches.labels(system).observe(questions)

    def change(self, system: str, action: str) -> None:
        """A change was made."""
        self._changes.labels(system, action).inc()

    def text(self) -> bytes:
        """All of it, for a scraper."""
        return generate_latest(self.registry)


class _Systems:
    """Gauges that are read, not kept."""

    def __init__(self, hosted: tuple[Hosted, ...]) -> None:
        self._hosted = hosted

    def collect(self) -> Iterable[Metric]:
        """One sample per system."""
        gauges = (
            ("retrograd_queue", "Requests that wait for a system.", lambda one: len(one.batcher)),
            ("retrograd_generation", "Generation of a system.", lambda one: one.live.generation),
            ("retrograd_documents", "Documents of a system.", lambda one: len(one.live.system.corpus)),
        )
        for name, text, read in gauges:
            gauge = GaugeMetricFamily(name, text, labels=["system"])
            for one in self._hosted:
                gauge.add_metric([one.name], read(one))
            yield gauge
