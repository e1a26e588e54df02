"""Promise 2 on the real thing: whoever is killed while changing a system has lost nothing it acknowledged."""

from reliability.kill_updates import kill_updates


def test_five_kills_lose_no_acknowledged_change():
    report = kill_updates(5, most_seconds=0.6)
    assert report.kills == 5
    assert not report.differences
