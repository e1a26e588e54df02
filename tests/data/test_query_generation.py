"""Every query generator of the package is a frozen value that a recipe can write down."""

import dataclasses

import pytest

from retrograd.data import CONFIGS
from retrograd.data.query_generation import Extractive, QueryGenerator, Seq2SeqGenerator
from retrograd.recipe import from_json, to_json


@pytest.mark.parametrize("generator", [Extractive(), Seq2SeqGenerator(folder="somewhere")])
def test_a_generator_survives_json(generator: QueryGenerator) -> None:
    kinds = {kind.__name__: kind for kind in CONFIGS}
    assert from_json(to_json(generator), kinds) == generator
    with pytest.raises(dataclasses.FrozenInstanceError):
        generator.top_k = 1  # type: ignore[attr-defined]
