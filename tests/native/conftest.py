"""The compiled core for its tests: the installed library, else one built from source, else a skip."""

import pytest

from retrograd.native import Library, find
from retrograd.native.build import BuildError, build


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """A loaded library."""
    found = find()
    if isinstance(found, Library):
        return found
    try:
        return Library(build(tmp_path_factory.mktemp("native")))
    except BuildError as error:
        pytest.skip(f"{found}; and it cannot be built here: {error}")
