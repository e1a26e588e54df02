"""A saved system opens as it was or says in one line why not."""

import json
import shutil

import numpy as np
import pytest

from retrograd import artifacts
from retrograd.data.dataset import load_dataset
from retrograd.errors import ArtifactError, InputError
from retrograd.recipes import recipe
from retrograd.repair import ARRAYS
from retrograd.search.lexical import Lexical
from retrograd.system import System, mean_of_groups
from retrograd.training.fit import fit
from retrograd.types import Query
from tests.small_systems import small


@pytest.fixture(scope="module")
def fitted(tiny_data, tmp_path_factory):
    return fit(small(recipe("dsi_qg")), load_dataset(tiny_data), tmp_path_factory.mktemp("s") / "system")


@pytest.fixture
def folder(fitted, tmp_path):
    return shutil.copytree(fitted.folder, tmp_path / "copy")


def sealed(folder, **changes):
    """Write a manifest that vouches for whatever the folder now holds."""
    info = dict(artifacts.read_manifest(folder)) | changes
    (folder / artifacts.MANIFEST).unlink()
    artifacts.write_manifest(
        folder, {k: v for k, v in info.items() if k not in ("files", "sha256", "format")}
    )


def test_texts_and_queries_may_be_mixed(fitted):
    found = fitted.search(["depth", Query("mine", "depth")], k=3)
    assert found.query_ids == ("0", "mine")
    assert found.hits[0] == found.hits[1]
    alone = fitted.search("depth", k=3).hits[0]
    assert [hit.document for hit in alone] == [hit.document for hit in found.hits[0]]


def test_k_below_one_is_refused(fitted):
    with pytest.raises(InputError, match="k=0 must be at least 1"):
        fitted.search("depth", k=0)


def test_a_folder_that_is_no_system_is_named(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError, match="no retrograd system here"):
            System.load(path)


def test_every_file_of_a_system_is_vouched_for(folder):
    derived = (artifacts.MANIFEST, ARRAYS)  # the one names itself, the other is made again
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in derived):
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]) if whole else b"x")
        with pytest.raises(ArtifactError, match=path.name):
            System.load(folder)
        path.write_bytes(whole)
    assert System.load(folder)


def test_another_format_is_refused(folder, monkeypatch):
    monkeypatch.setattr(artifacts, "FORMAT", 99)
    with pytest.raises(ArtifactError, match="this version reads 99"):
        System.load(folder)


def test_a_foreign_encoder_is_refused(folder):
    sealed(folder, model_fingerprint="0" * 64)
    with pytest.raises(ArtifactError, match="fitted with text encoder or tokenizer 000000000000"):
        System.load(folder)


def test_weights_of_another_model_are_refused(folder, fitted, tiny_data, tmp_path):
    other = fit(small(recipe("dsi_naive")), load_dataset(tiny_data), tmp_path / "other")
    shutil.copy(other.folder / "model.safetensors", folder / "model.safetensors")
    sealed(folder)
    with pytest.raises(ArtifactError, match="belong to another model"):
        System.load(folder)


def test_docids_of_another_system_are_refused(folder, tiny_data, tmp_path):
    other = fit(small(recipe("dsi_naive")), load_dataset(tiny_data), tmp_path / "other")
    shutil.copy(other.folder / "docids.safetensors", folder / "docids.safetensors")
    sealed(folder)
    with pytest.raises(ArtifactError, match="not those that the weights were trained with"):
        System.load(folder)


def test_the_recipe_file_is_plain_json(fitted):
    assert json.loads((fitted.folder / "recipe.json").read_text())["name"] == "dsi_qg"


def test_mean_of_groups_is_the_unit_mean():
    rows = np.array([[1, 0], [0, 1], [0, 2]], np.float32)
    means = mean_of_groups(rows, [2, 1])
    np.testing.assert_allclose(means, [[0.5**0.5, 0.5**0.5], [0, 1]], atol=1e-6)


def test_asking_a_saved_system_in_another_way_leaves_its_folder_whole(tiny_data, tmp_path):
    fitted = fit(small(recipe("dense")), load_dataset(tiny_data), tmp_path / "s")
    before = fitted.search("depth", k=3)
    for _ in range(2):
        opened = System.load(tmp_path / "s")
        assert Lexical().build(opened.parts).search([Query("q", "depth")], 3).hits[0]
        assert Lexical().build(opened.parts).search([Query("q", "depth")], 3).hits[0]
        assert opened.search("depth", k=3).documents() == before.documents()
