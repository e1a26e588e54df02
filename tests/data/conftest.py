"""Where the development collections are; tests that need one skip without them."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def real_data() -> Path:
    """The folder of development collections."""
    folder = os.environ.get("RETROGRAD_DATA")
    if not folder:
        pytest.skip("RETROGRAD_DATA is unset: the development collections are not on this machine")
    return Path(folder)
