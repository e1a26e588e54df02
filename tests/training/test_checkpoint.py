"""Checkpoints: everything comes back bit for bit, damage falls back a generation, writes are atomic."""

import errno
import os

import pytest
import torch

from retrograd.errors import ArtifactError, StorageError
from retrograd.training.checkpoint import Checkpoint, delete_checkpoints, latest_checkpoint, write_checkpoint


def checkpoint(step: int) -> Checkpoint:
    tied = torch.randn(3, 2, generator=torch.Generator().manual_seed(step))
    tensors = {
        "model.a": tied,
        "model.b": tied,
        "model.c": tied.T,
        "step": torch.tensor(float(step)),
        "half": tied.bfloat16(),
        "empty": torch.zeros(0, 4),
    }
    return Checkpoint(tensors, {"step": step, "loss": 0.1 + 0.2, "none": None})


def test_tensors_and_facts_come_back_bit_for_bit(tmp_path):
    written = checkpoint(3)
    write_checkpoint(tmp_path, 0, 3, written)
    read = latest_checkpoint(tmp_path, 0)
    assert read.facts == written.facts
    assert read.tensors.keys() == written.tensors.keys()
    for name, tensor in written.tensors.items():
        assert read.tensors[name].dtype == tensor.dtype
        assert torch.equal(read.tensors[name], tensor)


def test_same_state_gives_the_same_bytes(tmp_path):
    one, two = (write_checkpoint(tmp_path, stage, 3, checkpoint(3)) for stage in (0, 1))
    assert one.read_bytes() == two.read_bytes()


def test_two_generations_are_kept_per_stage(tmp_path):
    for step in (9, 10, 100):
        write_checkpoint(tmp_path, 0, step, checkpoint(step))
    write_checkpoint(tmp_path, 1, 5, checkpoint(5))
    assert len(list(tmp_path.iterdir())) == 3
    assert latest_checkpoint(tmp_path, 0).facts["step"] == 100
    assert latest_checkpoint(tmp_path, 1).facts["step"] == 5
    assert latest_checkpoint(tmp_path, 2) is None


@pytest.mark.parametrize("at", [0, 8, 100, -1])
def test_a_flipped_byte_falls_back_to_the_generation_before(tmp_path, at):
    write_checkpoint(tmp_path, 0, 1, checkpoint(1))
    damage(write_checkpoint(tmp_path, 0, 2, checkpoint(2)), at)
    with pytest.warns(RuntimeWarning, match="step-00000002"):
        assert latest_checkpoint(tmp_path, 0).facts["step"] == 1


def damage(path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_nothing_is_restored_where_every_generation_is_damaged(tmp_path):
    write_checkpoint(tmp_path, 0, 1, checkpoint(1)).write_bytes(b"")
    with (
        pytest.warns(RuntimeWarning, match="no sound checkpoint"),
        pytest.raises(ArtifactError, match="train it anew"),
    ):
        latest_checkpoint(tmp_path, 0)


def test_a_full_disk_keeps_the_earlier_checkpoint(tmp_path, monkeypatch):
    write_checkpoint(tmp_path, 0, 1, checkpoint(1))

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(StorageError, match="No space left"):
            write_checkpoint(tmp_path, 0, 2, checkpoint(2))
    assert latest_checkpoint(tmp_path, 0).facts["step"] == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_deleting_spares_earlier_stages_and_other_files(tmp_path):
    for stage in range(3):
        write_checkpoint(tmp_path, stage, 1, checkpoint(1))
    (tmp_path / "stage-notes.safetensors").write_bytes(b"")
    delete_checkpoints(tmp_path, from_stage=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "stage-0-step-00000001.safetensors",
        "stage-notes.safetensors",
    ]
