"""Vectors of a saved system, with the verbs sentence-transformers' users know."""

import numpy as np
import pytest
import torch

from retrograd.adapters.sentence_encoder import VectorEncoder
from retrograd.artifacts import check_folder, read_manifest
from retrograd.errors import InputError
from retrograd.system import System
from tests.adapters.systems import CORPUS, QUERIES, Changing, answers, fitted, scores, without

TEXTS = ["depth of an image", "", "music and film", "日本"]


@pytest.mark.parametrize("name", ["dense", "dual_encoder"])
def test_vectors_are_the_models_own(name):
    encoder, model = VectorEncoder(fitted(name)), fitted(name).model
    np.testing.assert_array_equal(encoder.encode_query(TEXTS), model.query_vectors(TEXTS))
    np.testing.assert_array_equal(encoder.encode_document(TEXTS), model.document_vectors(TEXTS))


def test_one_text_gives_one_vector_and_none_gives_none():
    encoder = VectorEncoder(fitted("dense"))
    assert encoder.encode_query(TEXTS[0]).shape == (encoder.get_embedding_dimension(),) == (16,)
    assert encoder.encode_query([]).shape == (0, 16)
    assert isinstance(encoder.encode_document(TEXTS, convert_to_tensor=True), torch.Tensor)


def test_the_size_of_a_batch_changes_nothing():
    encoder = VectorEncoder(fitted("dense"))
    np.testing.assert_allclose(
        encoder.encode_query(TEXTS, batch_size=1), encoder.encode_query(TEXTS), rtol=0, atol=1e-6
    )


def test_similarity_ranks_as_the_system_does():
    system = fitted("dense")
    encoder = VectorEncoder(system)
    products = encoder.similarity(encoder.encode_query(TEXTS), encoder.encode_document(CORPUS.contents))
    assert products.shape == (len(TEXTS), len(CORPUS))
    ranking = system.search(TEXTS, k=len(CORPUS))
    for row, hits in zip(products, ranking.hits, strict=True):
        own = [float(row[CORPUS.row_of[hit.document]]) for hit in hits]
        assert own == pytest.approx([hit.score for hit in hits], abs=1e-6)
    pairs = encoder.similarity_pairwise(encoder.encode_query(TEXTS), encoder.encode_query(TEXTS))
    assert pairs.shape == (len(TEXTS),)
    assert encoder.similarity(encoder.encode_query(TEXTS[0]), encoder.encode_query(TEXTS[2])).shape == (1, 1)


def test_a_saved_encoder_answers_alike_and_carries_its_card(tmp_path):
    folder = tmp_path / "kept"
    VectorEncoder(fitted("dual_encoder")).save_pretrained(folder)
    opened = VectorEncoder.from_pretrained(folder)
    np.testing.assert_array_equal(
        opened.encode_query(TEXTS), VectorEncoder(fitted("dual_encoder")).encode_query(TEXTS)
    )
    one, two = opened.system.search(QUERIES, k=10), fitted("dual_encoder").search(QUERIES, k=10)
    assert (answers(one), scores(one)) == (answers(two), scores(two))
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: ")
    assert "# dual_encoder" in card
    assert "## Training" in card
    assert card.count("encode_document") == 1
    assert {"README.md", "metrics.jsonl", "training.png"} <= read_manifest(folder)["files"].keys()
    assert check_folder(folder) == []


def test_saving_again_keeps_one_card_and_the_generation_before(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    VectorEncoder(fitted("dense")).save_pretrained(first)
    VectorEncoder.from_pretrained(first).save_pretrained(second)
    VectorEncoder.from_pretrained(second).save_pretrained(second)
    assert (second / "README.md").read_bytes() == (first / "README.md").read_bytes()
    assert check_folder(second) == check_folder(tmp_path / "second.previous") == []


def test_a_card_is_written_where_there_was_none(tmp_path):
    fitted("dense").save(tmp_path / "bare")
    system = System.load(tmp_path / "bare")
    (system.folder / "README.md").unlink(missing_ok=True)
    VectorEncoder(system).save_pretrained(tmp_path / "kept")
    assert "# dense" in (tmp_path / "kept" / "README.md").read_text(encoding="utf-8")


def test_a_live_system_is_saved_as_it_is_now(tmp_path):
    live = Changing(fitted("dense"))
    encoder = VectorEncoder(live)
    live.system = without(live.system, "0", "d9")
    encoder.save_pretrained(tmp_path / "kept")
    assert System.load(tmp_path / "kept").corpus.ids == live.system.corpus.ids
    assert len(encoder.document_vectors()) == len(CORPUS) - 2


def test_a_system_without_vectors_is_refused(tmp_path):
    with pytest.raises(InputError, match="'bm25' has no document vectors"):
        VectorEncoder(fitted("bm25"))
    with pytest.raises(InputError, match="no retrograd system here"):
        VectorEncoder.from_pretrained(tmp_path)
