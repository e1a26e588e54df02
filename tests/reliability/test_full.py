"""The program behind `make reliability`: every item has its place, is run once, and is found again."""

import json
import re
import subprocess
import sys

import pytest

from reliability import full
from reliability.full import ITEMS, Item, Outcome, run_all, table
from tests.house.tree import ROOT


@pytest.mark.reliability
@pytest.mark.parametrize("name", ITEMS)
def test_the_long_form_finds_nothing(name):
    outcome = ITEMS[name].run(1.0)
    print(outcome.done, outcome.result)
    assert not outcome.faults, "\n".join(outcome.faults)


@pytest.fixture
def items(monkeypatch):
    """Two items that only count how often they run."""
    runs = []

    def in_a_process(name, share):
        runs.append(name)
        outcome = {"done": "3 kills", "result": "fine", "faults": ["lost"] * (name == "bad")}
        return {**outcome, "date": "2026-11-20", "minutes": 0.5, "share": share, "sources": full.sources()}

    monkeypatch.setattr(full, "_in_a_process", in_a_process)
    monkeypatch.setattr(
        full, "ITEMS", {name: Item("1", name, lambda share: Outcome("", "")) for name in ("good", "bad")}
    )
    return runs


def test_what_passed_is_not_run_again_and_what_failed_is(items, tmp_path):
    results = tmp_path / "r.json"
    for _ in range(2):
        found = run_all(["good", "bad"], 1.0, results, keep=False, again=False)
    assert items == ["good", "bad", "bad"]
    assert json.loads(results.read_text()) == found
    run_all(["good"], 0.5, results, keep=False, again=False)
    run_all(["good"], 0.5, results, keep=False, again=True)
    assert items == ["good", "bad", "bad", "good", "good"]


def test_other_sources_count_only_where_that_was_asked_for(items, tmp_path, monkeypatch):
    results = tmp_path / "r.json"
    run_all(["good"], 1.0, results, keep=False, again=False)
    monkeypatch.setattr(full, "sources", lambda: "other")
    run_all(["good"], 1.0, results, keep=True, again=False)
    assert items == ["good"]
    run_all(["good"], 1.0, results, keep=False, again=False)
    assert items == ["good", "good"]


def test_the_table_shows_what_was_found_what_failed_and_what_is_missing(items, tmp_path):
    assert "| 1 | good | | not run yet on this version | | |" in table({})
    text = table(run_all(["good", "bad"], 1.0, tmp_path / "r.json", keep=False, again=False))
    assert "| 1 | good | 3 kills | fine | 2026-11-20 | 0.5 |" in text
    assert "FAILED: 1 faults" in text


def test_an_item_runs_in_a_process_of_its_own(tmp_path):
    command = [sys.executable, "-m", "reliability.full", "--item", "lost_writes", "--share", "0.02"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert re.fullmatch(r"\d+ power cuts", outcome["done"])
    assert outcome["faults"] == []


def test_the_page_has_a_row_for_every_promise_and_names_only_what_exists():
    page = (ROOT / "docs" / "reliability.md").read_text()
    promises = page.partition("## Figures")[0]
    numbers = [int(number) for number in re.findall(r"^\| (\d+) \|", promises, re.MULTILINE)]
    assert numbers == list(range(1, 22))
    named = re.findall(r"`((?:tests|reliability)/[\w/.]+)`", page)
    assert len(named) > 30
    assert [name for name in named if not (ROOT / name).exists()] == []
