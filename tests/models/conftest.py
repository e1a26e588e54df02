"""What the tests of the networks share."""

import pytest

from retrograd.models.text_encoder import MiniLM
from tests.models.tiny_bert import write_tiny_bert


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> MiniLM:
    """A text encoder config over random weights, 16 dimensions."""
    pytest.importorskip("transformers")
    return write_tiny_bert(tmp_path_factory.mktemp("bert") / "tiny")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Each test its own embedding cache."""
    monkeypatch.setenv("RETROGRAD_CACHE", str(tmp_path / "cache"))
