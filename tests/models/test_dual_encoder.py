from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch

from retrograd.models.dual_encoder import DualEncoder, FrozenVectors
from retrograd.models.tfidf_svd import TfidfSvd
from retrograd.models.token_input import TokenInput
from retrograd.models.towers import POOLS
from tests.models.tiny_bert import TEXTS

VARIANTS = [{}, {"hidden": 8}, {"trainable_encoder": True}]


@pytest.fixture(params=VARIANTS, ids=["linear", "hidden", "fine-tuned"])
def config(request, tiny):
    return DualEncoder(encoder=tiny, dropout=0.2, **request.param)


def test_step_zero_is_the_frozen_encoder(config, tiny):
    frozen = FrozenVectors(encoder=tiny).build({})
    model = config.build(config.fit(TEXTS), None, 7)
    np.testing.assert_allclose(model.query_vectors(TEXTS), frozen.query_vectors(TEXTS), atol=1e-6)
    np.testing.assert_allclose(model.document_vectors(TEXTS), frozen.document_vectors(TEXTS), atol=1e-6)
    assert model.training
    assert model.dimensions == frozen.dimensions == 16
    assert model.query_vectors([]).shape == (0, 16)


def test_a_few_steps_pull_pairs_together_and_vectors_stay_unit(config):
    torch.manual_seed(0)
    model = config.build({}, None, 0).eval()
    queries, documents = model.prepare(TEXTS[:3]), model.prepare(TEXTS[3:6], "document")
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(5):
        left = model.embed_queries(model.collate(queries, np.arange(3)))
        right = model.embed_documents(model.collate(documents, np.arange(3)))
        loss = torch.nn.functional.cross_entropy(model.scale * left @ right.T, torch.arange(3))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(np.linalg.norm(model.query_vectors(TEXTS), axis=1), 1, atol=1e-5)


def test_collated_rows_give_the_vectors_of_all(config):
    model = config.build({}).eval()
    rows = np.array([4, 0])
    with torch.no_grad():
        some = model.embed_documents(model.collate(model.prepare(TEXTS, "document"), rows))
    np.testing.assert_allclose(some, model.document_vectors(TEXTS)[rows], atol=1e-6)


def test_the_two_heads_learn_apart():
    config = DualEncoder(encoder=TfidfSvd(dimensions=3))
    model = config.build(config.fit(["red fox", "green bird", "sea"])).eval()
    with torch.no_grad():
        model.towers.query_head.change[-1].weight.normal_()
    texts = ["red bird"]
    assert not np.allclose(model.query_vectors(texts), model.document_vectors(texts), atol=1e-3)


def test_the_temperature_starts_where_told_and_stays_in_range(tiny):
    model = DualEncoder(encoder=tiny, initial_temperature=0.05).build({})
    torch.testing.assert_close(model.scale, torch.tensor(1 / 0.05))
    with torch.no_grad():
        model.log_scale.fill_(log(1e9))
        torch.testing.assert_close(model.scale, torch.tensor(100.0))
        model.log_scale.fill_(-5)
        torch.testing.assert_close(model.scale, torch.tensor(1.0))


@pytest.mark.parametrize("encoder", ["bert", "own"])
def test_tokens_are_pooled_as_told(tiny, encoder):
    config = DualEncoder(encoder=tiny, trainable_encoder=True, dropout=0.0)
    if encoder == "own":
        config = DualEncoder(encoder=TokenInput(width=16, layers=1, heads=2))
    vectors, state = {}, config.fit(TEXTS)
    for pool in POOLS:
        model = replace(config, pool=pool).build(state, None, 0).eval()
        batch = model.collate(model.prepare(TEXTS), np.arange(len(TEXTS)))
        vectors[pool], memory = (part.detach() for part in pooled(model, batch))
        torch.testing.assert_close(vectors[pool].norm(dim=-1), torch.ones(len(TEXTS)))
        if pool == "first":
            expected = torch.nn.functional.normalize(memory[:, 0], dim=-1)
            torch.testing.assert_close(vectors[pool], expected)
    torch.testing.assert_close(vectors["attention"], vectors["mean"])  # an untrained direction weighs alike
    with torch.no_grad():
        model.towers.pool.direction.normal_()
        assert not torch.allclose(pooled(model, batch)[0], vectors["mean"], atol=1e-3)


def pooled(model, batch):
    vectors, memory = model.embed_with_tokens(batch)
    return vectors, memory.states


def test_frozen_encoders_pool_as_they_do(tiny):
    with pytest.raises(ValueError, match="pool='first' needs"):
        DualEncoder(encoder=tiny, pool="first").build({})
    with pytest.raises(ValueError, match="choose one of mean"):
        DualEncoder(pool="last")


def test_weights_depend_on_the_seed_alone(tiny):
    config = DualEncoder(encoder=tiny, hidden=4)
    weights = [config.build({}, None, seed).towers.query_head.change[1].weight for seed in (1, 1, 2)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_frozen_vectors_have_nothing_to_save(tiny):
    model = FrozenVectors(encoder=tiny).build({}, None, 3)
    assert not model.state_dict()
    assert model.fingerprint == tiny.build({}).fingerprint


@pytest.mark.parametrize("wrong", [{"hidden": -1}, {"dropout": 1.0}, {"initial_temperature": 0.001}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DualEncoder(**wrong)


def test_an_encoder_without_weights_cannot_be_fine_tuned():
    with pytest.raises(TypeError, match="TfidfSvd cannot be fine-tuned"):
        DualEncoder(encoder=TfidfSvd(), trainable_encoder=True)
