"""Approximate indexes: near the exact answer, the same at every build, the same after saving."""

import numpy as np
import pytest

from retrograd.errors import ArtifactError
from retrograd.indexes.faiss_index import Hnsw, Ivf
from retrograd.indexes.flat import Flat

CONFIGS = (Hnsw(), Ivf(), Ivf(lists=8, probes=8, seed=3))


@pytest.fixture(scope="module")
def vectors():
    drawn = np.random.default_rng(0).standard_normal((1000, 24)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.mark.parametrize("config", CONFIGS, ids=repr)
def test_most_exact_answers_are_found(config, vectors):
    _, exact = Flat().build(vectors).search(vectors[:50], 10)
    _, found = config.build(vectors).search(vectors[:50], 10)
    assert np.mean([np.isin(one, two).mean() for one, two in zip(exact, found, strict=True)]) > 0.85


def test_reading_every_list_is_exact(vectors):
    _, exact = Flat().build(vectors).search(vectors[:20], 10)
    _, found = Ivf(lists=8, probes=8).build(vectors).search(vectors[:20], 10)
    np.testing.assert_array_equal(found, exact)


@pytest.mark.parametrize("config", CONFIGS, ids=repr)
def test_two_builds_save_the_same_bytes(config, vectors):
    one, two = config.build(vectors).state(), config.build(vectors).state()
    assert one["index"].dtype == np.uint8
    np.testing.assert_array_equal(one["index"], two["index"])


@pytest.mark.parametrize("config", CONFIGS, ids=repr)
def test_a_saved_index_answers_as_before(config, vectors):
    built = config.build(vectors)
    loaded = config.load(built.state(), vectors)
    for before, after in zip(built.search(vectors[:9], 5), loaded.search(vectors[:9], 5), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("config", CONFIGS, ids=repr)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_rows_beyond_a_small_corpus_are_marked(config, vectors, count):
    scores, rows = config.build(vectors[:count]).search(vectors[:3], 8)
    assert scores.shape == rows.shape == (3, 8)
    assert (rows[:, count:] == -1).all()
    assert sorted(rows[0, :count].tolist()) == list(range(count))


@pytest.mark.parametrize("config", CONFIGS, ids=repr)
def test_equal_vectors_come_in_row_order(config, vectors):
    _, rows = config.build(np.repeat(vectors[:4], 3, axis=0)).search(vectors[1:2], 3)
    assert rows.tolist() == [[3, 4, 5]]


@pytest.mark.parametrize("config", CONFIGS, ids=repr)
def test_an_index_of_other_vectors_is_refused(config, vectors):
    state = config.build(vectors).state()
    with pytest.raises(ArtifactError, match="1000 vectors of 24"):
        config.load(state, vectors[:999])
    with pytest.raises(ArtifactError, match="not readable"):
        config.load({"index": state["index"][:100]}, vectors)


def test_impossible_settings_are_refused():
    for make in (lambda: Hnsw(neighbours=1), lambda: Hnsw(ef_search=0), lambda: Ivf(probes=0)):
        with pytest.raises(ValueError, match="at least"):
            make()
