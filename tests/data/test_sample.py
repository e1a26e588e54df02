"""What ships with the library can be read, and says where it is from."""

import pytest

from retrograd.data.dataset import load_dataset
from retrograd.data.sample import sample_path
from retrograd.errors import InputError


def test_the_shipped_sample_is_whole() -> None:
    dataset = load_dataset(sample_path("apibench"))
    assert len(dataset.corpus) == 1011
    sizes = {split: len(qrels) for split, qrels in dataset.qrels.items()}
    assert sizes == {"train": 488, "dev": 349, "dev_seen": 123, "dev_unseen": 226}


def test_the_sample_carries_its_licence_and_source() -> None:
    folder = sample_path("apibench")
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert "ShishirPatil/gorilla" in (folder / "ATTRIBUTION.md").read_text()


def test_an_unknown_sample_lists_those_there_are() -> None:
    for name in ("none", "../data"):
        with pytest.raises(InputError, match="there is apibench"):
            sample_path(name)
