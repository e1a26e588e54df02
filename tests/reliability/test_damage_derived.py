"""Promise 5: SQLite is the truth; any derived file may be lost and the answers stay."""

import pytest

from reliability.damage_derived import damage_derived, derived_files
from reliability.small_served import changed_systems
from retrograd.repair import ARRAYS
from retrograd.system import System


@pytest.fixture(scope="module")
def systems(tmp_path_factory):
    """A lexical, a dense and a generative system that changed; not to be written to."""
    return changed_systems(tmp_path_factory.mktemp("derived"))


def test_every_derived_file_of_every_kind_of_system_comes_back(systems):
    lexical, dense, generative = systems
    assert len(derived_files(lexical)) > 5
    assert {path.name for path in derived_files(dense)} == {ARRAYS, "vectors.sqlite"}
    assert [path.name for path in derived_files(generative)] == [ARRAYS]
    report = damage_derived(systems, 3)
    assert report.damages.total() > 30
    assert not report.faults, "\n".join(report.faults)


def test_a_folder_that_stays_damaged_would_be_noticed(systems, monkeypatch):
    monkeypatch.setattr("retrograd.repair.repair", lambda *arguments, **named: False)
    assert damage_derived(systems[1:2], 1).faults


def test_other_answers_would_be_noticed(systems, monkeypatch):
    search = System.search
    calls = []

    def careless(self, queries, k):
        calls.append(k)
        return search(self, queries, k if len(calls) == 1 else k - 1)

    monkeypatch.setattr(System, "search", careless)
    report = damage_derived(systems[2:], 1)
    assert any("other answers" in line for line in report.faults)
