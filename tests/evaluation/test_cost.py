"""Cost figures are what a known searcher and known files must give."""

import time

import numpy as np
import pytest

from retrograd.errors import InputError
from retrograd.evaluation.cost import PeakMemory, Timing, bytes_per_document, measure_cost
from retrograd.types import Query, Ranking

QUERIES = [Query(str(number), "text") for number in range(12)]


class Sleeper:
    """Takes 2 ms per query, 20 ms for the first it ever sees, and notes what it is asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], int]] = []

    def search(self, queries, k):
        time.sleep(0.002 * len(queries) + 0.02 * (not self.calls))
        self.calls.append(([query.id for query in queries], k))
        return Ranking(tuple(query.id for query in queries), ((),) * len(queries))


def test_latency_leaves_the_warm_up_out_and_throughput_takes_all_at_once():
    searcher = Sleeper()
    cost = measure_cost(searcher, QUERIES, Timing(k=7, warm_up=2, single=5))
    asked = [["10"], ["11"], ["0"], ["1"], ["2"], ["3"], ["4"], [query.id for query in QUERIES]]
    assert searcher.calls == [(ids, 7) for ids in asked]
    assert 2 <= cost.latency_p50_ms <= cost.latency_p95_ms
    assert 2 <= cost.latency_p50_ms < 20
    assert 0 < cost.queries_per_second <= 1 / 0.002
    assert cost.peak_memory_mib > 1
    assert list(cost.columns()) == ["p50 ms", "p95 ms", "queries/s", "peak MiB"]


def test_fewer_queries_than_calls_are_no_error_but_none_is():
    assert len(measure_cost(Sleeper(), QUERIES[:1]).columns()) == 4
    with pytest.raises(InputError, match="no query"):
        measure_cost(Sleeper(), [])
    with pytest.raises(InputError):
        Timing(single=0)


def test_peak_memory_sees_what_was_freed_again():
    with PeakMemory() as quiet:
        pass
    with PeakMemory() as busy:
        block = np.ones(8 * 2**20)  # 64 MiB
        time.sleep(0.02)
        del block
    assert busy.peak_bytes - quiet.peak_bytes > 48 * 2**20


def test_bytes_per_document_adds_files_and_folders(tmp_path):
    (tmp_path / "index" / "deep").mkdir(parents=True)
    (tmp_path / "index" / "deep" / "a").write_bytes(b"x" * 30)
    (tmp_path / "b").write_bytes(b"x" * 10)
    assert bytes_per_document([tmp_path / "index", tmp_path / "b"], 4) == 10.0
    with pytest.raises(InputError, match="missing"):
        bytes_per_document([tmp_path / "missing"], 4)
    with pytest.raises(InputError, match="num_documents"):
        bytes_per_document([tmp_path], 0)
