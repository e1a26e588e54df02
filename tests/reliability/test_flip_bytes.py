"""Promise 4, short form: every flipped byte and truncation of a saved folder is reported by name."""

import numpy as np
import pytest

from reliability.flip_bytes import flip_bytes
from retrograd import artifacts
from retrograd.docid_table import DocidTable
from retrograd.document_store import DocumentStore
from retrograd.types import Corpus, Document


@pytest.fixture
def saved(tmp_path):
    """A folder with one file of every kind that floor 0 writes."""
    folder = tmp_path / "system"
    folder.mkdir()
    DocumentStore.create(folder / "documents.sqlite", Corpus([Document("d", "text")])).close()
    artifacts.save_table(
        folder / "docids.safetensors", DocidTable.from_keys([[0]], [0], ["d"], level_sizes=(1,))
    )
    artifacts.save_arrays(folder / "weights.safetensors", {"w": np.ones(9)})
    (folder / "README.md").write_text("# card")
    artifacts.write_manifest(folder, {})
    return folder


def test_every_damage_of_every_kind_is_reported(saved):
    report = flip_bytes(saved, 10)
    assert report.flips == {".json": 11, ".md": 11, ".safetensors": 11, ".sqlite": 11}
    assert not report.unreported
    assert artifacts.check_folder(saved) == []


def test_damage_outside_the_manifest_would_be_noticed_by_the_program(saved, monkeypatch):
    monkeypatch.setattr("reliability.flip_bytes.check_folder", lambda folder: [])
    assert len(flip_bytes(saved, 10).unreported) == 44


def test_a_folder_damaged_beforehand_is_refused(saved):
    (saved / "README.md").write_text("# other")
    with pytest.raises(ValueError, match=r"README\.md"):
        flip_bytes(saved, 1)


@pytest.mark.reliability
def test_a_hundred_damages_of_every_kind_of_a_fitted_system_are_reported(tmp_path, tiny_data):
    from reliability.kill_fit import victim
    from retrograd.data.dataset import load_dataset
    from retrograd.recipes import recipe
    from retrograd.training.fit import fit

    fitted = fit(victim(20), load_dataset(tiny_data), tmp_path / "generative").folder
    lexical = fit(recipe("bm25"), load_dataset(tiny_data), tmp_path / "lexical").folder
    for folder in (fitted, lexical):
        report = flip_bytes(folder, 100)
        assert set(report.flips.values()) == {110}
        assert not report.unreported
