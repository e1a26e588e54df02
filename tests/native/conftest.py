"""The compiled core for its tests: the installed library, else one built from source, else a skip."""

import os

import pytest

from retrograd.native import Library, find
from retrograd.native.build import BuildError, build

TESTED = "RETROGRAD_TESTED_LIBRARY"
"""Environment variable: path of the library that is tested in the place of the installed one."""


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """A loaded library."""
    if TESTED in os.environ:
        return Library(os.environ[TESTED])
    found = find()
    if isinstance(found, Library):
        return found
    try:
        return Library(build(tmp_path_factory.mktemp("native")))
    except BuildError as error:
        pytest.skip(f"{found}; and it cannot be built here: {error}")
