"""Promise 11: a disk that runs full refuses the change and leaves what stood there."""

import pytest

from reliability import full_disk as module
from reliability.full_disk import STEPS, full_disk
from reliability.small_served import changed_systems

TRIES = 3


@pytest.fixture(scope="module")
def systems(tmp_path_factory):
    """A lexical and a generative system that changed; not to be written to."""
    lexical, _, generative = changed_systems(tmp_path_factory.mktemp("full"))
    return [lexical, generative]


def test_no_step_loses_anything_for_want_of_room(systems):
    report = full_disk(systems, TRIES)
    assert report.refused.total() + report.done.total() == TRIES * len(STEPS)
    assert set(report.refused) >= {"add", "compact", "save", "fit"}
    assert not report.faults, "\n".join(report.faults)


def test_a_step_that_loses_something_would_be_noticed(systems, monkeypatch):
    def careless(folder):
        (folder / "README.md").unlink()
        (folder / "README.md").write_bytes(b"x" * 10**7)

    monkeypatch.setitem(module.STEPS, "add", careless)
    monkeypatch.setattr(module, "start", _here)
    assert full_disk(systems, 1, steps=["add"]).faults


def _here(work, *arguments):
    """A child that is this process: it sees what a test replaced."""
    import os
    from types import SimpleNamespace

    kept = os.dup(2)
    work(*arguments)
    os.dup2(kept, 2)
    os.close(kept)
    return SimpleNamespace(join=lambda seconds: None, exitcode=0)
