"""The metrics log: lines come back, and what lies behind the checkpoint is cut off."""

import json
from pathlib import Path

import pytest

from retrograd.errors import StorageError
from retrograd.training.metrics_log import METRICS, MetricsLog, read_metrics


def written(folder, stage: int, steps: range) -> None:
    with MetricsLog(folder, stage, steps.start - 1) as log:
        for step in steps:
            log.write(step, loss=1 / step)
        log.sync()


def test_lines_behind_the_checkpoint_are_cut_and_written_again(tmp_path):
    written(tmp_path, 0, range(1, 6))
    written(tmp_path, 1, range(1, 6))
    whole = (tmp_path / METRICS).read_bytes()
    written(tmp_path, 1, range(3, 6))
    assert (tmp_path / METRICS).read_bytes() == whole
    written(tmp_path, 0, range(4, 5))
    assert [(line["stage"], line["step"]) for line in read_metrics(tmp_path)] == [
        (0, s) for s in (1, 2, 3, 4)
    ]


def test_a_torn_line_is_dropped(tmp_path):
    written(tmp_path, 0, range(1, 3))
    with (tmp_path / METRICS).open("ab") as stream:
        stream.write(json.dumps({"stage": 0, "step": 3}).encode()[:-4])
    assert len(read_metrics(tmp_path)) == 2
    written(tmp_path, 0, range(3, 4))
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2, 3]


def test_no_file_is_no_line(tmp_path):
    assert read_metrics(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_refused_with_the_name_of_the_file_also_when_the_log_closes(tmp_path):
    log = MetricsLog(tmp_path, 0, 0)
    log._stream.close()
    with Path("/dev/full").open("ab") as log._stream, pytest.raises(StorageError, match=METRICS), log:
        log.write(1, loss=1.0)
