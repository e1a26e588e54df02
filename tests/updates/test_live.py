"""What a live system promises whoever changes it and whoever asks it meanwhile."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from retrograd import artifacts
from retrograd.change_log import ChangeLog
from retrograd.data.dataset import load_dataset
from retrograd.errors import ArtifactError, InputError, StorageError
from retrograd.live_folder import changes_of, check_system, vectors_of
from retrograd.recipes import recipe
from retrograd.system import System
from retrograd.training.fit import fit
from retrograd.types import Document
from retrograd.updates import live as live_module
from retrograd.updates.live import Change, LiveSystem
from tests.small_systems import small

RAIN = Document("rain", "a forecast of rain", "weather", {"year": 2020})


@pytest.fixture(scope="module")
def saved(tiny_data, tmp_path_factory):
    return fit(small(recipe("hybrid")), load_dataset(tiny_data), tmp_path_factory.mktemp("s") / "s").folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "s")


@pytest.fixture
def live(folder):
    with LiveSystem.open(folder) as opened:
        yield opened


def test_every_verb_says_what_it_did(live):
    count = len(live.system.corpus)
    first = live.system.corpus.ids[0]
    done = [
        live.add([RAIN]),
        live.update([Document("rain", "snow")]),
        live.put([Document("rain", "hail"), Document("wind", "wind")]),
        live.delete(["rain", first]),
        live.rollback(),
    ]
    told = [(g.number, g.action, g.added, g.updated, g.removed, g.documents, g.restores) for g in done]
    assert told == [
        (1, "add", 1, 0, 0, count + 1, None),
        (2, "update", 0, 1, 0, count + 1, None),
        (3, "put", 1, 1, 0, count + 2, None),
        (4, "delete", 0, 0, 2, count, None),
        (5, "rollback", 2, 0, 0, count + 2, 3),
    ]
    assert live.history()[:-1] == done[::-1]
    assert (live.history()[-1].number, live.history()[-1].action, live.history()[-1].documents) == (
        0,
        "fit",
        count,
    )
    assert live.search("hail", k=1).hits[0][0].document == "rain"


def test_going_back_again_and_again_ends_at_the_fit(live):
    ids = live.system.corpus.ids
    live.add([RAIN])
    live.delete([ids[0]])
    assert [live.rollback().restores, live.rollback().restores] == [1, 0]
    assert live.system.corpus.ids == ids
    for wrong, reason in [
        (None, "nothing before"),
        (9, "no generation 9"),
        (4, "current ones"),
        (-1, "no generation"),
    ]:
        with pytest.raises(InputError, match=reason):
            live.rollback(wrong)
    assert live.rollback(2).restores == 2


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda live: live.add([]), "no document"),
        (lambda live: live.delete([]), "no document"),
        (lambda live: live.add([Document("a"), Document("a")]), "'a' occurs twice"),
        (lambda live: live.add([Document(live.system.corpus.ids[0])]), "already in the system"),
        (lambda live: live.add([Document("")]), "empty id"),
        (lambda live: live.add([Document("s", "\ud800")]), "surrogate"),
        (lambda live: live.add([Document("s", metadata={"x": {1}})]), "JSON"),
        (lambda live: live.update([RAIN]), "'rain' is not in the system"),
        (lambda live: live.delete(["rain"]), "'rain' is not in the system"),
        (lambda live: live.delete([live.system.corpus.ids[0]] * 2), "twice"),
        (lambda live: live.delete(live.system.corpus.ids), "no document would be left"),
        (
            lambda live: live.apply(
                Change(put=(Document(live.system.corpus.ids[0]),), delete=live.system.corpus.ids)
            ),
            "deletes it and puts",
        ),
    ],
)
def test_a_change_that_cannot_be_is_refused_and_changes_nothing(live, folder, change, reason):
    before = live.system
    with pytest.raises(InputError, match=reason):
        change(live)
    assert live.system is before
    assert live.generation == 0
    assert check_system(folder) == []
    assert live.add([RAIN]).number == 1


def test_every_document_can_be_exchanged_at_once(live, folder):
    ids = live.system.corpus.ids
    live.apply(Change(put=(RAIN,), delete=ids))
    assert live.system.corpus.ids == System.load(folder).corpus.ids == ("rain",)
    assert live.search("depth", k=5).documents()["0"] == ["rain"]


def test_a_second_writer_is_told_who_holds_the_folder_and_readers_are_not(folder):
    with LiveSystem.open(folder) as live:
        with pytest.raises(InputError, match=f"pid {os.getpid()}"):
            LiveSystem.open(folder)
        live.add([RAIN])
        with LiveSystem.open(folder, write=False) as reader:
            assert reader.generation == 1
            assert [one.number for one in reader.history()] == [1, 0]
            with pytest.raises(InputError, match="reading only"):
                reader.delete(["rain"])
    with LiveSystem.open(folder) as again:
        again.delete(["rain"])
    with pytest.raises(InputError, match="closed"):
        again.add([RAIN])


def test_no_folder_or_another_one_is_named(tmp_path):
    for write in (True, False):
        with pytest.raises(InputError, match="no retrograd system here"):
            LiveSystem.open(tmp_path, write=write)


def test_a_folder_that_cannot_be_written_is_still_read(saved):
    # imports first: another user may not be allowed to read them
    script = "import os, sys; from retrograd.system import System; System.load(sys.argv[1])\n"
    script += "os.getuid() or (os.setgid(65534), os.setuid(65534))\n"
    script += "print(System.load(sys.argv[1]).corpus.ids[-1])"
    with tempfile.TemporaryDirectory() as name:  # where other users may look, too
        folder = shutil.copytree(saved, Path(name) / "s")
        with LiveSystem.open(folder) as live:
            live.add([RAIN])
        for path in [Path(name), folder, *folder.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        command = [sys.executable, "-c", script, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        for path in [Path(name), folder, *folder.rglob("*")]:
            path.chmod(0o755)
    assert done.stdout.strip() == "rain", done.stderr


def test_a_full_disk_leaves_the_old_generation(live, folder):
    live.add([RAIN])
    before = live.system
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (changes_of(folder).stat().st_size + 8192, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"changes\.sqlite"):
            live.add([Document("large", "words " * 50_000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert live.system is before
    assert System.load(folder).corpus.ids == before.corpus.ids
    assert live.add([Document("wind", "wind")]).number == 2
    assert check_system(folder) == []


def test_a_full_disk_leaves_the_old_base_when_it_is_renewed(live, folder, monkeypatch):
    live.add([RAIN])

    def refuse(*_: object) -> None:
        raise StorageError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "publish", refuse)
        with pytest.raises(StorageError, match="disk full"):
            live.compact()
    live.delete(["rain"])
    assert live.generation == System.load(folder).generation == 2


def test_documents_stay_found_while_others_come_and_go(live):
    failures, stop = [], threading.Event()
    gone: set[str] = set()

    def ask() -> None:
        while not stop.is_set():
            acknowledged = set(gone)
            hits = live.search("forecast of rain and snow", k=20).hits[0]
            failures.extend(hit.document for hit in hits if hit.document in acknowledged)

    readers = [threading.Thread(target=ask) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(12):
        live.add([Document(f"w{number}", "a forecast of rain and snow", "weather")])
        assert f"w{number}" in {
            hit.document for hit in live.search("forecast of rain and snow", k=20).hits[0]
        }
        if number % 2:
            live.delete([f"w{number}"])
            gone.add(f"w{number}")
    stop.set()
    for reader in readers:
        reader.join()
    assert not failures


def test_a_worn_base_is_renewed_when_it_is_opened_and_its_history_stays(folder, monkeypatch):
    monkeypatch.setattr(live_module, "WORN_AT_LEAST", 5)
    with LiveSystem.open(folder) as live:
        ids = live.system.corpus.ids
        live.add([RAIN])
        live.delete(ids[:12])
    with LiveSystem.open(folder) as live:
        assert live.system.parts.drift is None
        assert live.system.base_generation == live.generation == 2
        assert [one.number for one in live.history()] == [2, 1, 0]
        assert (folder / "README.md").exists()
        live.add([Document("wind", "wind")])
        live.rollback(0)
        assert live.system.corpus.ids == System.load(folder).corpus.ids == ids
        live.rollback(2)
        assert set(live.system.corpus.ids) == {*ids[12:], "rain"}
        assert check_system(folder) == []


def test_another_fit_of_the_same_documents_can_be_adopted(live, folder, tmp_path):
    live.add([RAIN])
    other = System.load(folder)
    made = live.adopt(other, "train")
    assert (made.number, made.action, live.system.base_generation) == (2, "train", 2)
    assert System.load(folder).generation == 2
    live.delete(["rain"])
    with pytest.raises(InputError, match="other documents"):
        live.adopt(other)


def test_a_saved_live_system_is_a_base_of_its_own(live, tmp_path):
    live.add([RAIN])
    live.system.save(tmp_path / "copy")
    opened = System.load(tmp_path / "copy")
    assert opened.generation == 0
    assert opened.corpus.ids == live.system.corpus.ids
    assert not (tmp_path / "copy" / artifacts.LIVE).exists()


def test_filters_see_documents_that_joined(live):
    live.add([RAIN])
    assert live.search("depth of an image", k=5, where={"year": 2020}).documents()["0"] == ["rain"]


def test_lost_vectors_are_made_again_and_a_lost_log_is_named(live, folder, caplog):
    live.add([RAIN])
    live.close()
    answers = live.search("rain in the forecast", k=10)
    for damage in (lambda path: path.unlink(), lambda path: path.write_bytes(b"x" * 5000)):
        caplog.clear()
        damage(vectors_of(folder))
        assert System.load(folder).search("rain in the forecast", k=10) == answers
        assert [r for r in caplog.records if "vectors.sqlite" in r.getMessage()]
        assert check_system(folder) == []
    whole = changes_of(folder).read_bytes()
    changes_of(folder).write_bytes(whole[:5000] + b"\1" + whole[5001:])
    with pytest.raises(ArtifactError, match=r"changes\.sqlite"):
        System.load(folder)
    assert [line.partition(":")[0] for line in check_system(folder)] == ["live/changes.sqlite"]
    changes_of(folder).unlink()
    with pytest.raises(ArtifactError, match=r"changes\.sqlite"):
        System.load(folder)
    assert check_system(folder) == ["live/changes.sqlite: missing"]


def test_what_does_not_belong_into_the_live_part_is_named(live, folder):
    live.add([RAIN])
    (folder / "live" / "script.py").write_text("")
    (folder / "live" / "link").symlink_to("/etc/passwd")
    assert [line.partition(":")[0] for line in check_system(folder)] == ["live/link", "live/script.py"]


def test_the_log_says_what_a_deleted_document_was(live, folder):
    first = live.system.corpus[0]
    live.delete([first.id])
    with ChangeLog.open(changes_of(folder)) as log:
        assert log.steps()[1].gone[0].document == first
