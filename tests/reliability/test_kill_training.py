"""Promise 1, short form: kill -9 while training, resume, and the weights are an uninterrupted run's."""

from reliability.kill_training import kill_training


def test_five_kills_change_no_byte():
    report = kill_training(5, steps=60)
    assert report.kills == 5
    assert report.finished_runs >= 1
    assert not report.differences
