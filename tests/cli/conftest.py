"""Systems fitted on forty documents: shared ones to read, copies to break."""

import shutil
from pathlib import Path

import pytest

from tests.cli.tiny import TINY, fit


@pytest.fixture
def data(tiny_data: Path, tmp_path: Path) -> Path:
    """A copy of the tiny data that a test may break."""
    return Path(shutil.copytree(tiny_data, tmp_path / "data"))


@pytest.fixture(scope="session")
def lexical_system(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fitted bm25 that tests only read."""
    return fit("bm25", tiny_data, tmp_path_factory.mktemp("systems") / "lexical")


@pytest.fixture(scope="session")
def generative_system(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fitted generative system that tests only read."""
    return fit("dsi_qg", tiny_data, tmp_path_factory.mktemp("systems") / "generative", *TINY)


@pytest.fixture
def system(lexical_system: Path, tmp_path: Path) -> Path:
    """A copy of the lexical system that a test may break."""
    return Path(shutil.copytree(lexical_system, tmp_path / "system"))
