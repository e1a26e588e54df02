"""Promises 9 and 18: readers beside a writer see no error and nothing deleted, and nothing grows."""

from reliability.mixed_load import LoadReport, Phase, Sample, mixed_load, table
from reliability.small_served import small_systems


def _sound(report):
    assert report.alone.errors == report.beside.errors == 0
    assert report.beside.stale == 0
    assert report.missing == 0
    assert report.change_errors == 0
    assert report.changes >= 3
    assert report.beside.answers > 20
    assert 8 * 4 * report.beside.fewest >= report.beside.answers, "every reader is served"
    assert "p99" in table(report)


def test_eight_readers_and_a_writer_for_a_few_seconds(tmp_path):
    _sound(mixed_load(small_systems(tmp_path, documents=60)[0], 6, alone_seconds=1, pause=0.05))


def test_growth_compares_the_last_quarter_with_the_second():
    phase = Phase(1, 1, 0, 0, 1, 1)
    samples = tuple(Sample(at, 100 + (50 if at >= 6 else 0), 10 + at) for at in range(8))
    report = LoadReport(phase, phase, 1, 0, 1, 0, samples)
    assert report.growth == 1.5
    assert report.descriptor_growth == 5
