import numpy as np
import pytest
import torch

from retrograd.models.tfidf_svd import TfidfSvd
from retrograd.models.vector_input import VectorInput
from retrograd.recipe import from_json, to_json

TEXTS = ["the red fox", "a green bird", "foxes and birds", "sea"]
CONFIG = VectorInput(encoder=TfidfSvd(dimensions=3), slots=2, width=5, noise=0.5)
STATE = CONFIG.fit(TEXTS)


def test_one_vector_becomes_normalised_slots():
    module = CONFIG.build(STATE, seed=1).eval()
    prepared = module.prepare(TEXTS, "document")
    assert prepared.shape == (4, 3)
    memory = module(module.collate(prepared, np.array([3, 0, 0])))
    assert memory.states.shape == (3, 2, 5)
    assert memory.where.all()
    torch.testing.assert_close(memory.states.square().mean(-1), torch.ones(3, 2), atol=1e-4, rtol=0)
    torch.testing.assert_close(memory.states[1], memory.states[2])


def test_noise_is_drawn_in_training_only():
    module = CONFIG.build(STATE)
    batch = module.collate(module.prepare(TEXTS), np.arange(4))
    assert not torch.equal(module(batch).states, module(batch).states)
    module.eval()
    assert torch.equal(module(batch).states, module(batch).states)


def test_weights_depend_on_the_seed_alone_and_frozen_ones_are_not_saved():
    one, two, other = CONFIG.build(STATE, seed=1), CONFIG.build(STATE, seed=1), CONFIG.build(STATE, seed=2)
    assert torch.equal(one.project.weight, two.project.weight)
    assert not torch.equal(one.project.weight, other.project.weight)
    assert set(one.state_dict()) == {"project.weight", "norm.weight"}
    assert one.fingerprint == two.fingerprint == CONFIG.encoder.build(STATE).fingerprint


def test_the_pretrained_encoder_fits_too(tiny):
    module = VectorInput(encoder=tiny, slots=1, width=4).build({})
    assert module(module.collate(module.prepare(TEXTS), np.arange(2))).states.shape == (2, 1, 4)
    np.testing.assert_array_equal(module.prepare(TEXTS, "query"), module.prepare(TEXTS, "document"))


def test_the_config_is_a_value():
    kinds = {"VectorInput": VectorInput, "TfidfSvd": TfidfSvd}
    assert from_json(to_json(CONFIG), kinds) == CONFIG


@pytest.mark.parametrize("wrong", [{"slots": 0}, {"width": 0}, {"noise": -0.1}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        VectorInput(**wrong)
