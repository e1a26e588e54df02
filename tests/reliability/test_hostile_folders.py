"""Promise 13: whatever a folder holds, opening it runs nothing, escapes nowhere and fails in one line."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from reliability import hostile_folders as module
from reliability.hostile_folders import Attack, hostile_folders
from reliability.small_served import changed_systems
from retrograd.artifacts import write_json

EVERY = 6
"""The short form takes one fixed attack in so many; another `EVERY` of them each seed."""

ALWAYS = ("live/lock", "live/changes.sqlite", "link to a folder: live", "../outside", "script ./")


@pytest.fixture(scope="module")
def systems(tmp_path_factory):
    """A lexical, a dense and a generative system that changed; not to be written to."""
    return changed_systems(tmp_path_factory.mktemp("hostile"))


def test_a_part_of_the_attacks_and_some_random_ones_do_nothing(systems):
    report = hostile_folders(systems, 20, every=EVERY)
    assert report.attempts > 50
    assert 0 < report.accepted < report.attempts
    assert not report.faults, "\n".join(report.faults)


@pytest.mark.parametrize("only", ALWAYS)
def test_links_pipes_names_and_scripts_do_nothing(systems, only):
    report = hostile_folders(systems, 0, only=only)
    assert report.attempts
    assert not report.faults, "\n".join(report.faults)


def test_what_nobody_reports_would_be_noticed(systems, monkeypatch):
    planted = [Attack("nothing is wrong", lambda folder, outside: None)]
    monkeypatch.setattr(module, "attacks", lambda: iter(planted))
    assert _said(hostile_folders(systems, 0)) == ["check reports nothing"]
    monkeypatch.setattr(module, "start", _careless)
    assert _said(hostile_folders(systems, 0)) == [
        "load: KeyError: 'x'",
        "subprocess.Popen",
        "what lies outside has changed",
        "it answers otherwise",
    ]
    monkeypatch.setattr(module, "start", lambda work, folders: SimpleNamespace(exitcode=-9, **NOTHING))
    assert _said(hostile_folders(systems, 0)) == ["the child died (-9)"]


NOTHING = {"join": lambda *seconds: None, "kill": lambda: None}


def _careless(work, folders):
    """A child that found faults, and touched what lies outside."""
    for folder in map(Path, folders):
        (folder.with_name("outside") / "new").touch()
        report = {"faults": ["load: KeyError: 'x'", "subprocess.Popen"], "check": ["x"], "load": []}
        write_json(folder.with_name(module.RESULT), report)
    return SimpleNamespace(exitcode=0, **NOTHING)


def _said(report):
    return [line.split(": ", 2)[2] for line in report.faults]
