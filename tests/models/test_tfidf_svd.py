import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.errors import InputError
from retrograd.models.tfidf_svd import TfidfSvd

TEXTS = [
    f"{a} {b} of {c}" for a in ("red", "green") for b in ("fox", "bird") for c in ("wood", "field", "sea")
]


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_every_text_gets_a_unit_vector(texts):
    config = TfidfSvd(dimensions=4)
    encoder = config.build(config.fit(TEXTS))
    vectors = encoder.encode_query(texts)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_two_fits_give_the_same_bytes_and_saved_arrays_the_same_vectors():
    config = TfidfSvd(dimensions=5)
    one, two = config.fit(TEXTS), config.fit(TEXTS)
    assert {name: array.tobytes() for name, array in one.items()} == {n: a.tobytes() for n, a in two.items()}
    assert config.build(one).fingerprint == config.build(two).fingerprint
    np.testing.assert_array_equal(
        config.build(one).encode_query(TEXTS), config.build(two).encode_document(TEXTS)
    )
    assert config.build(config.fit(TEXTS[:-1])).fingerprint != config.build(one).fingerprint


def test_full_rank_keeps_the_cosines_of_tfidf():
    from sklearn.feature_extraction.text import TfidfVectorizer

    config = TfidfSvd(dimensions=len(TEXTS))
    vectors = config.build(config.fit(TEXTS)).encode_document(TEXTS)
    weights = TfidfVectorizer(sublinear_tf=True, token_pattern=r"\w+").fit_transform(TEXTS).toarray()
    np.testing.assert_allclose(vectors @ vectors.T, weights @ weights.T, atol=1e-5)


def test_one_document_and_unknown_words_are_fine():
    config = TfidfSvd(dimensions=8)
    encoder = config.build(config.fit(["lonely document"]))
    assert encoder.dimensions == 8
    np.testing.assert_array_equal(encoder.encode_query(["zebra", ""]), np.eye(8)[[0, 0]])
    assert encoder.encode_query([]).shape == (0, 8)


def test_features_are_limited():
    assert TfidfSvd(dimensions=2, max_features=3).fit(TEXTS)["components"].shape == (2, 3)


def test_a_collection_without_words_is_refused():
    with pytest.raises(InputError, match="holds a word"):
        TfidfSvd().fit(["", "?!"])


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        TfidfSvd(dimensions=0)
