"""Artifacts: what was written comes back, the same value gives the same bytes, damage is named."""

import errno
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from retrograd import artifacts
from retrograd.docid_table import DocidTable
from retrograd.errors import ArtifactError, StorageError


@pytest.fixture
def folder(tmp_path):
    """A small saved folder."""
    saved = tmp_path / "system"
    (saved / "model").mkdir(parents=True)
    artifacts.save_arrays(saved / "model" / "weights.safetensors", {"w": np.arange(6.0)})
    artifacts.write_json(saved / "recipe.json", {"kind": "Recipe"})
    artifacts.write_manifest(saved, {"seed": 3})
    return saved


@given(st.text(st.characters()))
def test_text_comes_back_from_its_array(text):
    assert artifacts.array_to_text(artifacts.text_to_array(text)) == text


@given(
    st.dictionaries(
        st.text("abc.", min_size=1),
        arrays.arrays(
            st.sampled_from([np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_]),
            arrays.array_shapes(min_dims=0, min_side=0),
        ),
        max_size=4,
    )
)
def test_arrays_come_back_with_shape_and_type(tmp_path_factory, state):
    path = tmp_path_factory.mktemp("arrays") / "state.safetensors"
    artifacts.save_arrays(path, {name: array.T for name, array in state.items()})
    loaded = artifacts.load_arrays(path)
    assert loaded.keys() == state.keys()
    for name, array in state.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array.T)


def test_same_arrays_and_metadata_give_the_same_bytes_in_every_process(tmp_path):
    program = (
        "import sys, numpy as np; from retrograd.artifacts import save_arrays;"
        "save_arrays(sys.argv[1], {n: np.ones(3) for n in 'abcdef'}, {n: n for n in 'uvwxyz'})"
    )
    contents = []
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    for number in range(2):
        path = tmp_path / f"{number}.safetensors"
        subprocess.run([sys.executable, "-c", program, str(path)], check=True, env=environment)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
    assert artifacts.load_metadata(path) == {name: name for name in "uvwxyz"}


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64, b"\x02\0\0\0\0\0\0\0{}trailing"])
def test_a_file_that_is_no_safetensors_is_named(tmp_path, content):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"bad\.safetensors"):
        artifacts.load_arrays(path)


def test_missing_files_are_named(tmp_path):
    for read in (artifacts.load_arrays, artifacts.read_json, artifacts.load_table):
        with pytest.raises(ArtifactError, match="nowhere"):
            read(tmp_path / "nowhere")


def test_tables_come_back_whole(tmp_path):
    table = DocidTable.from_keys(
        [[0, 1], [0, 1], [2]],
        [0, 1, 2],
        ["a", "é", "c"],
        level_sizes=(3, 3),
        shared_vocabulary=True,
        token_names=("x", "y", "z"),
        state={"centroids": np.ones((2, 2), np.float32)},
    )
    artifacts.save_table(tmp_path / "table", table)
    loaded = artifacts.load_table(tmp_path / "table")
    for name in ("tokens", "offsets", "pairs"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(table, name))
    for name in ("document_ids", "level_sizes", "shared_vocabulary", "token_names"):
        assert getattr(loaded, name) == getattr(table, name)
    np.testing.assert_array_equal(loaded.state["centroids"], table.state["centroids"])


def test_a_table_whose_arrays_contradict_each_other_is_refused(tmp_path):
    table = DocidTable.from_keys([[0], [1]], [0, 1], ["a", "b"], level_sizes=(2,))
    artifacts.save_table(tmp_path / "table", table)
    state = artifacts.load_arrays(tmp_path / "table") | {"tokens": np.array([0, 7], np.int32)}
    artifacts.save_arrays(tmp_path / "table", state, artifacts.load_metadata(tmp_path / "table"))
    with pytest.raises(ArtifactError, match="leaves its vocabulary"):
        artifacts.load_table(tmp_path / "table")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("refusing", ["fsync", "open"])
def test_a_refused_write_leaves_the_old_file_and_says_so(tmp_path, monkeypatch, number, refusing):
    path = tmp_path / "value.json"
    artifacts.write_json(path, 1)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    target = "os.fsync" if refusing == "fsync" else "pathlib.Path.open"
    with monkeypatch.context() as patch:
        patch.setattr(target, refuse)
        with pytest.raises(StorageError, match=r"value\.json"):
            artifacts.write_json(path, 2)
    assert artifacts.read_json(path) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["value.json"]


def test_a_really_full_disk_leaves_the_old_file(tmp_path):
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    mounted = (
        shutil.which("mount") and not subprocess.run(command, capture_output=True, check=False).returncode
    )
    if not mounted:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        artifacts.write_bytes_atomic(tmp_path / "value", b"old")
        with pytest.raises(StorageError, match="unchanged"):
            artifacts.write_bytes_atomic(tmp_path / "value", b"x" * 2**20)
        assert (tmp_path / "value").read_bytes() == b"old"
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_sound_folder_has_nothing_to_report(folder):
    assert artifacts.check_folder(folder) == []
    assert artifacts.read_manifest(folder)["seed"] == 3


@given(st.sampled_from(["model/weights.safetensors", "recipe.json", "manifest.json"]), st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_changed_byte_names_its_file(folder, name, data):
    content = (folder / name).read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    flipped = content[at] ^ data.draw(st.integers(1, 255))
    (folder / name).write_bytes(content[:at] + bytes([flipped]) + content[at + 1 :])
    problems = artifacts.check_folder(folder)
    (folder / name).write_bytes(content)
    assert len(problems) == 1
    assert problems[0].startswith(f"{name}: ")


def test_missing_foreign_and_strange_files_are_named(folder, tmp_path):
    (folder / "recipe.json").unlink()
    (folder / "model" / "run.py").write_text("")
    (folder / "link").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    assert [line.split(" (")[0] for line in artifacts.check_folder(folder)] == [
        "link: refused",
        "model/run.py: foreign",
        "pipe: refused",
        "recipe.json: missing",
    ]
    with pytest.raises(ArtifactError, match="symbolic link"):
        artifacts.write_manifest(folder, {})


@pytest.mark.parametrize("name", ["../escape", "/etc/passwd", "a/../../b", "", "manifest.json"])
def test_a_manifest_that_points_out_of_its_folder_is_refused(folder, name):
    body = {"files": {name: {"bytes": 0, "sha256": ""}}, "format": artifacts.FORMAT}
    artifacts.write_json(folder / "manifest.json", body | {"sha256": artifacts._digest(body)})
    with pytest.raises(ArtifactError, match="no file of this folder"):
        artifacts.read_manifest(folder)
    assert artifacts.check_folder(folder)[0].startswith("manifest.json: ")


def test_a_folder_without_manifest_and_a_later_format_are_refused(folder, tmp_path):
    assert artifacts.check_folder(tmp_path)[0].startswith("manifest.json: is missing")
    body = {"files": {}, "format": artifacts.FORMAT + 1}
    artifacts.write_json(folder / "manifest.json", body | {"sha256": artifacts._digest(body)})
    with pytest.raises(ArtifactError, match="has format 2"):
        artifacts.read_manifest(folder)


def test_at_every_moment_of_publishing_one_generation_opens(tmp_path, monkeypatch):
    final = tmp_path / "system"

    def generation(number: int) -> None:
        partial = tmp_path / "partial"
        partial.mkdir()
        artifacts.write_json(partial / "value.json", number)
        artifacts.publish(partial, final)

    def opened() -> int:
        return int(artifacts.read_json(artifacts.current(final) / "value.json"))

    generation(1)
    seen = []
    real = artifacts.fsync
    monkeypatch.setattr(artifacts, "fsync", lambda path: (seen.append(opened()), real(path)))
    generation(2)
    generation(3)
    assert opened() == 3
    assert artifacts.read_json(artifacts.previous_of(final) / "value.json") == 2
    assert seen == sorted(seen)
