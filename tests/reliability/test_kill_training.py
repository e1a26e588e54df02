"""Promise 1, short form: kill -9 while training, resume, and the weights are an uninterrupted run's."""

import pytest

from reliability.kill_training import kill_training


def test_five_kills_change_no_byte():
    report = kill_training(5, steps=60)
    assert report.kills == 5
    assert report.finished_runs >= 1
    assert not report.differences


@pytest.mark.reliability
def test_fifty_kills_change_no_byte():
    report = kill_training(50)
    assert report.kills == 50
    assert not report.differences
