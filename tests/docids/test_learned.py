"""Ids of the model: first clusters, then what the network says, and how far they moved."""

import numpy as np
import pytest

from retrograd.docids.inputs import DocidInputs
from retrograd.docids.learned import LearnedCodes
from retrograd.errors import InputError
from retrograd.evaluation.diagnostics.codes import drift
from retrograd.models.tfidf_svd import TfidfSvd
from retrograd.quantizers.residual import ResidualQuantizer
from retrograd.types import Corpus, Document

CORPUS = Corpus(Document(f"d{row}", f"text {row}") for row in range(20))
ENCODER = TfidfSvd(dimensions=8)
VECTORS = np.random.default_rng(0).standard_normal((20, 8)).astype(np.float32)


def inputs(codes=None, corpus=CORPUS):
    rows = [CORPUS.row_of.get(id, 0) for id in corpus.ids]
    said = None if codes is None else lambda: np.asarray(codes)
    return DocidInputs(corpus=corpus, seed=0, vectors=lambda *_: VECTORS[rows], model_codes=said)


def test_the_first_ids_are_clusters_and_repeatable():
    scheme = LearnedCodes(encoder=ENCODER, codes=(4, 4))
    table = scheme.assign(inputs())
    assert table.level_sizes == (4, 4)
    assert np.array_equal(table.padded, scheme.assign(inputs()).padded)
    assert set(table.state) == {"codebook.0", "codebook.1"}


def test_afterwards_the_model_decides_and_twins_share_a_key():
    scheme = LearnedCodes(encoder=ENCODER, codes=(4, 4))
    before = scheme.assign(inputs())
    codes = np.stack([np.arange(20) % 4, np.arange(20) % 2], axis=1)
    after = scheme.refresh(before, inputs(codes))
    assert len(after) == 4
    assert after.level_sizes == before.level_sizes
    assert all(np.array_equal(after.padded[after.keys_of(row)[0]], codes[row]) for row in range(20))
    wrong = [int(changed * 20 + 0.5) for changed in drift(before, after).changed]
    own = np.array([before.padded[before.keys_of(row)[0]] for row in range(20)])
    assert wrong == (own != codes).sum(axis=0).tolist()


def test_a_fixed_index_does_not_listen():
    scheme = LearnedCodes(encoder=ENCODER, codes=(4,), moves=False)
    before = scheme.assign(inputs())
    assert scheme.refresh(before, inputs(np.zeros((20, 1), int))) is before


@pytest.mark.parametrize("moves", [True, False])
def test_new_documents_are_placed_and_old_keys_stay(moves):
    scheme = LearnedCodes(encoder=ENCODER, codes=(4, 4), moves=moves)
    table = scheme.assign(inputs())
    new = Corpus([Document("new", "text")])
    grown = scheme.insert(table, inputs(np.array([[3, 2]]), new))
    assert np.array_equal(grown.padded[: len(table)], table.padded)
    assert grown.document_ids == (*CORPUS.ids, "new")
    placed = tuple(grown.padded[grown.keys_of(20)[0]])
    assert placed == ((3, 2) if moves else tuple(table.padded[table.keys_of(0)[0]]))


def test_drift_between_different_collections_is_refused():
    scheme = LearnedCodes(encoder=ENCODER, codes=(4,))
    other = Corpus([Document("x", "y")])
    with pytest.raises(InputError, match="no document"):
        drift(scheme.assign(inputs()), scheme.assign(inputs(corpus=other)))
    with pytest.raises(ValueError, match="codes"):
        LearnedCodes(encoder=ENCODER, codes=())


def test_the_first_ids_may_be_clusters_by_distance():
    scheme = LearnedCodes(encoder=ENCODER, codes=(4, 3), clusters="euclidean", moves=False)
    table = scheme.assign(inputs())
    expected = ResidualQuantizer.fit(VECTORS, 2, (4, 3), seed=0).encode(VECTORS)
    found = np.array([table.padded[table.keys_of(row)[0]] for row in range(20)])
    assert np.array_equal(found, expected)
    grown = scheme.insert(table, inputs(corpus=Corpus([Document("new", "text")])))
    assert np.array_equal(grown.padded[grown.keys_of(20)[0]], expected[0])
    with pytest.raises(ValueError, match="clusters"):
        LearnedCodes(encoder=ENCODER, clusters="loose")


def test_the_number_of_codes_may_follow_the_corpus():
    scheme = LearnedCodes(encoder=ENCODER, codes=(0, 3))
    assert scheme.sizes(10) == (16, 3)
    assert scheme.sizes(1_000_000) == (256, 3)
    assert scheme.assign(inputs()).level_sizes == (16, 3)
