"""Progress: items pass through unchanged, files get a line only when work is long."""

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd import progress
from retrograd.progress import Progress, track


@given(st.lists(st.integers()))
def test_tracking_changes_no_item(items):
    assert list(track(iter(items), "count")) == items


def test_short_work_is_silent_where_stderr_is_no_terminal(capsys):
    list(track(range(100), "count"))
    assert capsys.readouterr() == ("", "")


def test_long_work_says_how_far_it_is_and_how_long_it_takes(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    with Progress(4, "train", start=1) as shown:
        shown.advance(1, loss=0.5)
    line = capsys.readouterr().err
    assert line.startswith("train: 2/4, ")
    assert line.endswith("s left, loss 0.5\n")


def test_unknown_totals_are_counted_without_an_estimate(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    list(track(iter("ab"), "read"))
    assert capsys.readouterr().err == "read: 1\nread: 2\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nested_work_shares_one_display_on_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert [(a, b) for a in track("xy", "outer") for b in track("z", "inner")] == [("x", "z"), ("y", "z")]
    assert not progress._bars


def test_a_failure_inside_closes_the_display(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(KeyError), Progress(2, "outer"):
        raise KeyError("inside")
    assert not progress._bars
