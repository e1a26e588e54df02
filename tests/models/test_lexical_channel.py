"""The lexical channel: known words move a vector as the formula says, unknown ones do not."""

import numpy as np
import pytest
import torch

from retrograd.models.dual_encoder import DualEncoder
from retrograd.models.lexical_channel import LexicalChannel
from retrograd.models.tfidf_svd import TfidfSvd
from retrograd.models.token_input import TokenInput
from retrograd.training.batches import concatenate

TEXTS = ["Red foxes run", "the red bird", "birds and foxes", "sea birds", "a green sea"]
WORDS = ["bird", "fox", "red", "sea"]
IDF = np.log1p((5 - np.array([3, 2, 2, 2]) + 0.5) / (np.array([3, 2, 2, 2]) + 0.5))
ENCODER = TfidfSvd(dimensions=4)


def model_of(channel: LexicalChannel, seed: int = 0):
    config = DualEncoder(encoder=ENCODER, lexical=channel, dropout=0.0)
    return config.build(config.fit(TEXTS), None, seed).eval()


def frozen(texts):
    return ENCODER.build(ENCODER.fit(TEXTS)).encode_document(texts)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("centred", [False, True])
def test_a_word_starts_at_the_mean_of_the_documents_that_hold_it(centred):
    state = LexicalChannel(centred=centred).fit(TEXTS, frozen(TEXTS))
    assert bytes(state["words"]).decode().split("\n") == WORDS
    np.testing.assert_allclose(state["idf"], IDF, rtol=1e-6)
    documents = frozen(TEXTS)
    holders = [[1, 2, 3], [0, 2], [0, 1], [3, 4]]
    expected = np.stack([documents[rows].mean(0) for rows in holders]) - centred * documents.mean(0)
    np.testing.assert_allclose(state["vectors"].astype(np.float32), expected, atol=1e-3)


def test_a_query_moves_by_the_idf_weighted_mean_of_its_words():
    model = model_of(LexicalChannel(weight=0.7, centred=False))
    texts = ["red RED birds unheard", "unheard words", ""]
    table = model.towers.words.weight.detach().numpy()
    red, bird = (1 + np.log(2)) * IDF[2], IDF[0]
    mean = (red * table[2] + bird * table[0]) / (red + bird)
    expected = frozen(texts)
    expected[0] += 0.7 * mean
    np.testing.assert_allclose(model.query_vectors(texts), unit(expected), atol=1e-5)
    np.testing.assert_allclose(model.document_vectors(texts), frozen(texts), atol=1e-5)


def test_only_the_heaviest_words_of_a_text_count():
    one, all_of_them = (model_of(LexicalChannel(words_per_text=count)) for count in (1, 9))
    words = [
        one.collate(one.prepare([text]), np.array([0]))["words"].tolist() for text in ("sea", "sea birds")
    ]
    assert words == [[[3]], [[3]]]
    assert all_of_them.collate(all_of_them.prepare(["sea birds"]), np.array([0]))["words"].shape == (1, 2)
    assert one.fingerprint != all_of_them.fingerprint


def test_documents_may_have_the_channel_too():
    model = model_of(LexicalChannel(sides="both", weight=0.5))
    np.testing.assert_allclose(model.query_vectors(TEXTS), model.document_vectors(TEXTS), atol=1e-5)
    assert np.abs(model.document_vectors(TEXTS) - frozen(TEXTS)).max() > 0.01
    assert {"towers.query_weight", "towers.document_weight"} <= set(model.state_dict())


@pytest.mark.parametrize("sides", ["query", "both"])
def test_texts_of_both_roles_share_a_batch_and_rows_do_not_depend_on_it(sides):
    model = model_of(LexicalChannel(sides=sides))
    queries, documents = model.prepare(["red sea", "x"]), model.prepare(TEXTS, "document")
    parts = [model.collate(queries, np.array([1, 0])), model.collate(documents, np.array([2]))]
    with torch.no_grad():
        together = model.embed_queries(concatenate(parts))
    np.testing.assert_allclose(together[:2], model.query_vectors(["x", "red sea"]), atol=1e-6)
    assert len(queries) == 2


def test_words_and_weight_learn():
    model = model_of(LexicalChannel()).train()
    prepared = model.prepare(["red sea"])
    vectors = model.embed_queries(model.collate(prepared, np.array([0])))
    (vectors * torch.tensor([1.0, -1.0, 2.0, 0.5])).sum().backward()
    gradient = model.towers.words.weight.grad.abs().sum(1)
    assert (gradient > 0).tolist() == [False, False, True, True]
    assert model.towers.query_weight.grad.abs() > 0


def test_the_fingerprint_depends_on_words_and_encoder_but_not_on_weights():
    one, again = model_of(LexicalChannel()), model_of(LexicalChannel(weight=0.9), seed=3)
    assert one.fingerprint == again.fingerprint
    assert one.fingerprint != model_of(LexicalChannel(max_words=2)).fingerprint
    assert one.fingerprint != ENCODER.build(ENCODER.fit(TEXTS)).fingerprint


def test_a_collection_without_words_is_no_obstacle():
    channel = LexicalChannel(min_documents=99)
    model = model_of(channel)
    np.testing.assert_allclose(model.query_vectors(TEXTS), frozen(TEXTS), atol=1e-5)


def test_impossible_settings_are_named():
    for wrong in (
        {"min_documents": 0},
        {"max_words": 0},
        {"words_per_text": 0},
        {"sides": "document"},
        {"language": "klingon"},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            LexicalChannel(**wrong)
    with pytest.raises(TypeError, match="TokenInput has no vectors"):
        DualEncoder(encoder=TokenInput(width=16), lexical=LexicalChannel()).fit(TEXTS)
