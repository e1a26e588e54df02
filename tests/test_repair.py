"""What is derived comes back by itself, whatever happened to it; what is not is refused by name."""

import logging
import shutil

import pytest

from retrograd import repair
from retrograd.artifacts import check_folder
from retrograd.data.dataset import load_dataset
from retrograd.errors import ArtifactError
from retrograd.live_folder import WriterLock, check_system
from retrograd.recipes import recipe
from retrograd.repair import ARRAYS
from retrograd.system import System
from retrograd.training.fit import fit
from retrograd.types import Document
from retrograd.updates.live import LiveSystem
from tests.small_systems import small


def rewrite(path, content):
    """Another file in its place: the one before may be mapped, and cutting that would end the process."""
    path.unlink()
    path.write_bytes(content)


DAMAGES = {
    "emptied": lambda path: rewrite(path, b""),
    "flipped": lambda path: rewrite(path, path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1])),
    "missing": lambda path: path.unlink(),
}
QUESTIONS = ["depth of an image", "translate text", "rain"]


@pytest.fixture(scope="module", params=["hybrid", "bm25_expanded"])
def saved(request, tiny_data, tmp_path_factory):
    folder = fit(
        small(recipe(request.param)), load_dataset(tiny_data), tmp_path_factory.mktemp("s") / "s"
    ).folder
    with LiveSystem.open(folder) as live:
        live.add([Document("later", "rain of images", "weather")])
        live.delete([live.system.corpus.ids[1]])
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "s")


@pytest.mark.parametrize("damage", DAMAGES)
def test_any_damaged_derived_file_gives_the_same_answers(saved, folder, damage, caplog):
    answers = System.load(saved).search(QUESTIONS, k=10)
    derived = sorted(
        {line for path in folder.rglob("*") if (line := repair._derived(f"{path.relative_to(folder)}:"))}
    )
    assert ARRAYS in derived
    for name in derived:
        path = folder / name
        file = path if path.is_file() else max(path.iterdir(), key=lambda p: p.stat().st_size)
        DAMAGES[damage](file)
        caplog.clear()
        assert System.load(folder).search(QUESTIONS, k=10) == answers
        (record,) = [one for one in caplog.records if one.levelno == logging.WARNING]
        assert name in record.getMessage()
        assert check_system(folder) == []
        caplog.clear()
        System.load(folder)
        assert not caplog.records, "made again for good"


def test_a_whole_index_that_is_gone_comes_back(saved, folder):
    for path in folder.glob("lexical*"):
        shutil.rmtree(path)
    assert System.load(folder).search(QUESTIONS, k=10) == System.load(saved).search(QUESTIONS, k=10)
    assert check_folder(folder) == []


def test_a_folder_that_somebody_else_changes_is_repaired_beside_it(saved, folder, caplog):
    shutil.rmtree(next(folder.glob("lexical*")))
    (folder / ARRAYS).write_bytes(b"")
    lock = WriterLock(folder)
    problems = check_folder(folder)
    assert System.load(folder).search(QUESTIONS, k=10) == System.load(saved).search(QUESTIONS, k=10)
    assert check_folder(folder) == problems
    assert "for now" in caplog.text
    lock.release()


def test_whoever_holds_the_folder_repairs_it(folder):
    (folder / ARRAYS).unlink()
    with LiveSystem.open(folder):
        assert check_folder(folder) == []


def test_damaged_truth_is_refused_whatever_else_is_lost(folder):
    (folder / ARRAYS).unlink()
    with (folder / "documents.sqlite").open("ab") as stream:
        stream.write(b"x")
    before = check_folder(folder)
    with pytest.raises(ArtifactError, match=r"documents\.sqlite: damaged"):
        System.load(folder)
    assert check_folder(folder) == before
