"""A library that is not installed is named together with the extra that brings it."""

import pytest

from retrograd.adapters.library import library
from retrograd.cli.door import EXTRA_OF
from retrograd.errors import InputError
from tests.house.tree import ROOT


def test_a_missing_library_is_one_line():
    with pytest.raises(InputError, match=r"this needs no_such_thing: pip install 'retrograd\[parquet\]'"):
        library("no_such_thing.inside", "parquet")


def test_a_missing_part_of_an_installed_library_is_not_hidden():
    with pytest.raises(ModuleNotFoundError, match="no_such_part"):
        library("json.no_such_part", "parquet")


def test_every_extra_that_is_named_exists():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(
        f"\n{extra} = [" in project
        for extra in {*EXTRA_OF.values(), "parquet", "qdrant", "mteb", "pyterrier"}
    )
