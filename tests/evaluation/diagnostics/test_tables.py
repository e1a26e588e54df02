"""What is printed is what was found, whatever the width and the figures."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from retrograd.evaluation.diagnostics.report import diagnose
from retrograd.evaluation.diagnostics.subject import subject_of_run
from retrograd.evaluation.diagnostics.tables import figure, grids, interval, print_diagnosis
from tests.evaluation.diagnostics.subjects import NUM_QUERIES, SETTINGS, audience, lists, whole_diagnosis


def printed(diagnosis, width=160):
    stream = io.StringIO()
    print_diagnosis(diagnosis, Console(file=stream, width=width, markup=False, highlight=False))
    return stream.getvalue()


def test_every_figure_has_its_table(tmp_path):
    found = whole_diagnosis(tmp_path)
    titles = [grid.title for grid in grids(found)]
    assert len(titles) == len(set(titles)) == 10
    text = printed(found)
    assert all(title in text for title in titles)
    assert figure(found.hubness["lists"].skewness) in text
    assert interval(found.capacity.difference) in text
    assert figure(found.popularity["whole"].lift) in text


def test_rows_fit_their_headings(tmp_path):
    for grid in grids(whole_diagnosis(tmp_path)):
        assert {len(row) for row in grid.rows} == {len(grid.header)}, grid.title


def test_what_is_missing_is_left_out_with_a_line():
    subject = subject_of_run("run", lists([[0, 1, 2]] * NUM_QUERIES))
    text = printed(diagnose(subject, audience(popularity=None), settings=SETTINGS))
    assert "left out: vectors, ids and training" in text
    assert "Isotropy" not in text
    assert "Gradient" not in text


def test_alarms_are_printed_or_said_to_be_none(tmp_path):
    found = whole_diagnosis(tmp_path)
    assert "no alarm" in printed(replace(found, alarms=()))
    assert "alarm: [bold]smoke" in printed(replace(found, alarms=("[bold]smoke",)))


@pytest.mark.parametrize("width", [40, 80, 300])
def test_any_width_prints(tmp_path, width):
    assert "Hubness" in printed(whole_diagnosis(tmp_path), width)
