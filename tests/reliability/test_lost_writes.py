"""Promise 3, short form: whatever was not fsynced is lost, and the old or the new state opens."""

import shutil
from pathlib import Path

from reliability.lost_writes import lose_writes
from retrograd import artifacts
from retrograd.data.dataset import load_dataset
from retrograd.recipes import recipe
from retrograd.system import System
from retrograd.training.fit import fit
from retrograd.types import Document
from retrograd.updates.live import LiveSystem


def test_a_power_cut_at_any_operation_leaves_the_old_or_the_new_log():
    cuts, faults = lose_writes(3)
    assert cuts > 60
    assert not faults


def test_a_folder_is_on_the_disk_before_it_is_renamed_and_opens_between_any_two_renames(
    tiny_data, tmp_path, monkeypatch
):
    folder = fit(recipe("bm25"), load_dataset(tiny_data), tmp_path / "here" / "s").folder
    synced, seen = set(), []
    rename, fsync = Path.rename, artifacts.fsync

    def told(path: Path, target: Path):
        if path.name == "s.renewing":
            missing = {p for p in path.rglob("*") if p.name != "lock"} | {path}
            assert missing <= synced, "renamed before it was on the disk"
        if path.parent == folder.parent:
            seen.append(Path(shutil.copytree(folder.parent, tmp_path / f"before-{len(seen)}")) / "s")
        done = rename(path, target)
        if path.parent == folder.parent:
            seen.append(Path(shutil.copytree(folder.parent, tmp_path / f"after-{len(seen)}")) / "s")
        return done

    with LiveSystem.open(folder) as live:
        live.add([Document("later", "rain")])
        live.delete([live.system.corpus.ids[0]])
        monkeypatch.setattr(artifacts, "fsync", lambda path: (synced.add(Path(path)), fsync(path)))
        monkeypatch.setattr(Path, "rename", told)
        live.compact()
    monkeypatch.undo()
    assert len(seen) == 4
    for place in seen:
        assert System.load(place).corpus.ids == live.system.corpus.ids
        with LiveSystem.open(place) as again:  # and goes on from there
            assert again.generation == 2
            again.add([Document("last", "snow")])
            assert again.search("snow").hits[0][0].document == "last"
