"""A library that is missing, damaged or foreign is a reason in words, never a crash."""

import ctypes.util

import pytest

from retrograd.native import library as module
from retrograd.native.library import Library, find


@pytest.fixture
def package(monkeypatch, tmp_path):
    """A folder in which `find` looks instead of the package's own."""
    monkeypatch.setattr(module, "__file__", str(tmp_path / "library.py"))
    find.cache_clear()
    yield tmp_path
    find.cache_clear()


def test_a_library_that_was_not_built_is_a_reason(package):
    assert "not built" in find()


def test_a_damaged_library_is_a_reason(package):
    (package / module.LIBRARY).write_bytes(b"\x7fELF and nothing behind it")
    assert isinstance(find(), str)


def test_a_library_of_somebody_else_is_refused():
    foreign = ctypes.util.find_library("m")
    if foreign is None:
        pytest.skip("the system's mathematics library has no known name")
    with pytest.raises(OSError, match="retrograd_layout"):
        Library(foreign)


def test_a_library_of_other_sources_is_refused(library, monkeypatch):
    monkeypatch.setattr(module, "LAYOUT", module.LAYOUT + 1)
    with pytest.raises(OSError, match="other sources"):
        Library(library.path)
