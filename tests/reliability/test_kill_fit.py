"""Promise 1 on the real thing: a fit that is killed and resumed learns what an uninterrupted one learns."""

from reliability.kill_fit import kill_fit


def test_five_kills_of_a_fit_change_no_byte():
    report = kill_fit(5, steps=40)
    assert report.kills == 5
    assert report.finished_runs >= 1
    assert not report.differences
