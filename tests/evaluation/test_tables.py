"""A table shows every figure once, in Markdown that parses and in a terminal of any width."""

import io
import re

import pytest
from rich.console import Console

from retrograd.evaluation.compare import compare
from retrograd.evaluation.significance import Resampling
from tests.evaluation.comparisons import SYSTEMS

COSTS = {"base": {"p50 ms": 1.25, "bytes/document": 12345.6}, "high": {"p50 ms": 0.00123}}


@pytest.fixture(scope="module")
def comparison():
    named = {"a|b *x*" if name == "same" else name: given for name, given in SYSTEMS.items()}
    return compare(named, baseline="base", costs=COSTS, title="data dev", resampling=Resampling(draws=1000))


def printed(comparison, width):
    console = Console(file=io.StringIO(), width=width)
    comparison.show(console)
    return console.file.getvalue()


def test_markdown_has_one_row_per_system_and_one_cell_per_column(comparison):
    lines = [line for line in comparison.markdown().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert rows[0] == ["system", "nDCG@10", "R@100", "p50 ms", "bytes/document"]
    assert [row[0] for row in rows[2:]] == ["base", "high", r"a\|b \*x\*", "low"]
    assert {len(row) for row in rows} == {5}
    by_name = {row[0]: row[1:] for row in rows[2:]}
    assert re.fullmatch(r"\*\*0\.7\d\d ± 0\.\d{3} ▲\*\*", by_name["high"][0])
    assert re.fullmatch(r"0\.[23]\d\d ▼", by_name["low"][1])
    assert re.fullmatch(r"0\.[45]\d\d", by_name["base"][0])
    assert by_name["base"][2:] == ["1.25", "12,346"]
    assert by_name["high"][2:] == ["0.00123", "-"]


def test_the_caption_says_what_the_marks_rest_on(comparison):
    text = comparison.markdown()
    for part in (
        "**data dev**",
        "40 queries",
        "than base",
        "5 %",
        "Holm's correction over 6 tests",
        "1 or 2 seeds",
    ):
        assert part in text


def test_a_single_system_is_shown_without_tests():
    text = compare({"only": SYSTEMS["low"]}, baseline="only", resampling=Resampling(draws=10)).markdown()
    assert "only" in text
    assert "randomisation" not in text


@pytest.mark.parametrize("width", [30, 50, 120])
def test_no_figure_is_cut_off_however_narrow_the_terminal(comparison, width):
    text = printed(comparison, width)
    figures = re.findall(r"0\.\d{3}(?!\d)(?: [▲▼])?", text)
    assert len(figures) == 8
    assert "12,346" in text
    assert "…" not in text
    assert "a|b *x*" in text
    assert all(len(line) <= width for line in text.splitlines())
