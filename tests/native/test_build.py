"""Building from source: with a compiler there is a library that loads, without one there is a reason."""

import shutil

import pytest

from retrograd.native import Library
from retrograd.native.build import LIBRARY, SOURCE, BuildError, build, compiler


def test_the_sources_make_a_library_that_loads_and_runs_at_least_the_plain_target(tmp_path):
    try:
        compiler()
    except BuildError as error:
        pytest.skip(str(error))
    library = Library(build(tmp_path / "made"))
    assert list(library.targets)[-1] == "plain"
    assert [path.name for path in (tmp_path / "made").iterdir()] == [LIBRARY]


def test_without_a_compiler_the_reason_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("CC", "no-such-compiler --fast")
    with pytest.raises(BuildError, match="CC=no-such-compiler"):
        build(tmp_path)
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match="no C compiler found"):
        compiler()


def test_a_compiler_that_fails_is_named_and_leaves_nothing_behind(monkeypatch, tmp_path):
    failing = shutil.which("false")
    if failing is None:
        pytest.skip("there is no program that always fails")
    monkeypatch.setenv("CC", failing)
    with pytest.raises(BuildError, match="false failed"):
        build(tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_every_source_says_in_its_first_line_what_it_is_for():
    for path in sorted(SOURCE.iterdir()):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith("/* "), path.name
        assert len(first) > 40, path.name
