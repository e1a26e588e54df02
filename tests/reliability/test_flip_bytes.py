"""Promise 4, short form: every flipped byte and truncation of a saved folder is reported by name."""

import numpy as np
import pytest

from reliability.flip_bytes import flip_bytes
from retrograd import artifacts
from retrograd.change_log import ChangeLog, Generation, Kept, Step
from retrograd.docid_table import DocidTable
from retrograd.document_store import DocumentStore
from retrograd.live_folder import CHANGES, VECTORS
from retrograd.types import Corpus, Document
from retrograd.vector_store import write_vectors


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


def test_every_damage_of_the_log_and_the_vectors_is_reported(saved):
    live = saved / artifacts.LIVE
    live.mkdir()
    kept = Kept(1, Document("e", "text " * 900, metadata={"n": 1}), ((1, 2),), learnt={"row": np.ones(9)})
    first = Step(Generation(0, "", "fit", 1, 0, 0, 1), level_sizes=(1, 2))
    with ChangeLog.create(live / CHANGES, first) as log:
        log.append(Step(Generation(1, "", "add", 1, 0, 0, 2), (kept,), level_sizes=(2, 3)))
    write_vectors(live / VECTORS, {n: np.ones(300, np.float32) for n in range(9)})
    report = flip_bytes(saved, 40)
    assert report.flips["live/changes.sqlite"] == report.flips["live/vectors.sqlite"] == 44
    assert not report.unreported


def test_damage_outside_the_manifest_would_be_noticed_by_the_program(saved, monkeypatch):
    monkeypatch.setattr("reliability.flip_bytes.check_system", lambda folder: [])
    assert len(flip_bytes(saved, 10).unreported) == 44


def test_a_folder_damaged_beforehand_is_refused(saved):
    (saved / "README.md").write_text("# other")
    with pytest.raises(ValueError, match=r"README\.md"):
        flip_bytes(saved, 1)
