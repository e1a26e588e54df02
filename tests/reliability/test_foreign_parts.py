"""Promise 19: a system whose encoder, tokenizer or codebook is another's is refused by name."""

import shutil
from dataclasses import replace

import pytest

from reliability.hostile_folders import seal
from retrograd.data.dataset import load_dataset
from retrograd.errors import ArtifactError
from retrograd.models import text_encoder
from retrograd.models.dual_encoder import FrozenVectors
from retrograd.recipes import recipe
from retrograd.system import System
from retrograd.training.fit import fit
from retrograd.updates.live import LiveSystem
from tests.models.tiny_bert import write_tiny_bert
from tests.small_systems import small


@pytest.fixture(scope="module")
def data(tiny_data):
    return load_dataset(tiny_data)


@pytest.fixture(scope="module")
def fitted(data, tmp_path_factory):
    """One recipe on two halves of a collection, so that all shapes but few numbers agree."""
    folder, ids = tmp_path_factory.mktemp("parts"), data.corpus.ids
    system = small(recipe("generative"))
    one = fit(system, data.subset(ids[:24]), folder / "one").folder
    other = fit(system, data.subset(ids[16:]), folder / "other").folder
    return one, other


def refusal(folder) -> str:
    """Both ways to open it refuse it alike."""
    said = []
    for opening in (System.load, LiveSystem.open):
        with pytest.raises(ArtifactError) as caught:
            opening(folder)
        said.append(str(caught.value))
    assert "\n" not in said[0]
    assert said[0] == said[1]
    return said[0]


@pytest.mark.parametrize("part", ["fitted", "docids", "model"])
def test_a_file_of_another_system_is_named(fitted, tmp_path, part):
    one, other = fitted
    folder = shutil.copytree(one, tmp_path / "mixed")
    shutil.copy(other / f"{part}.safetensors", folder)
    assert f"{part}.safetensors" in refusal(folder)


def test_a_foreign_text_encoder_is_refused_even_where_the_manifest_vouches_for_it(fitted, tmp_path):
    one, other = fitted
    folder = shutil.copytree(one, tmp_path / "mixed")
    shutil.copy(other / "fitted.safetensors", folder)
    seal(folder)
    assert "text encoder" in refusal(folder)


def test_a_foreign_codebook_is_refused_even_where_the_manifest_vouches_for_it(fitted, tmp_path):
    one, other = fitted
    folder = shutil.copytree(one, tmp_path / "mixed")
    shutil.copy(other / "docids.safetensors", folder)
    seal(folder)
    assert "docids are of other documents" in refusal(folder)


def test_a_codebook_of_another_seed_is_refused_as_well(fitted, data, tmp_path):
    one, _ = fitted
    other = fit(small(recipe("generative")), data.subset(data.corpus.ids[:24]), tmp_path / "other", seed=7)
    folder = shutil.copytree(one, tmp_path / "mixed")
    shutil.copy(other.folder / "docids.safetensors", folder)
    seal(folder)
    assert "not those that the weights were trained with" in refusal(folder)


def test_a_foreign_tokenizer_is_refused(data, tmp_path):
    pytest.importorskip("transformers")
    encoder = write_tiny_bert(tmp_path / "bert")
    dense = replace(recipe("dense"), model=FrozenVectors(encoder=encoder))
    folder = fit(dense, data, tmp_path / "s").folder
    assert System.load(folder).search("a red fox", k=1).hits[0]
    tokenizer = tmp_path / "bert" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace('"fox"', '"cat"'))
    text_encoder._shared_encoder.cache_clear()  # as in a new process
    assert "tokenizer" in refusal(folder)


def test_foreign_weights_of_the_encoder_are_refused(data, tmp_path):
    pytest.importorskip("transformers")
    encoder = write_tiny_bert(tmp_path / "bert")
    dense = replace(recipe("dense"), model=FrozenVectors(encoder=encoder))
    folder = fit(dense, data, tmp_path / "s").folder
    weights = tmp_path / "bert" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert "other or damaged weights" in refusal(folder)
