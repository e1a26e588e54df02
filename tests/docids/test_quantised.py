"""Quantised ids: codes of the vector, then the collision policy."""

import numpy as np
import pytest

from retrograd.docids.collisions import COLLISIONS
from retrograd.docids.inputs import DocidInputs
from retrograd.docids.quantised import Quantised
from retrograd.quantizers import QUANTIZERS
from retrograd.types import Corpus, Document

VECTORS = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)


def inputs(vectors, start=0):
    names = [f"d{start + row}" for row in range(len(vectors))]
    return DocidInputs(Corpus(Document(name) for name in names), 0, lambda encoder, of: vectors)


def keys_by_document(table):
    return np.stack([table.padded[table.keys_of(row)[0]] for row in range(len(table.document_ids))])


@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("collisions", COLLISIONS)
def test_keys_begin_with_the_codes_of_the_quantizer(quantizer, collisions):
    scheme = Quantised(encoder=None, quantizer=quantizer, levels=3, codes=4, collisions=collisions)
    table = scheme.assign(inputs(VECTORS))
    codes = QUANTIZERS[quantizer].fit(VECTORS, 3, 4, seed=0).encode(VECTORS)
    same = 2 if collisions == "reassign" else 3
    assert np.array_equal(keys_by_document(table)[:, :same], codes[:, :same])
    assert table.depth == 3 + (collisions == "suffix")


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_a_twin_shares_all_codes_and_comes_behind(quantizer):
    scheme = Quantised(encoder=None, quantizer=quantizer, levels=3, codes=4)
    table = scheme.insert(scheme.assign(inputs(VECTORS)), inputs(VECTORS, start=60))
    keys = keys_by_document(table)
    assert np.array_equal(keys[:60, :3], keys[60:, :3])
    assert (keys[60:, 3] > keys[:60, 3]).all()


def test_reassigned_documents_prefer_codes_that_exist():
    scheme = Quantised(encoder=None, levels=2, codes=8, collisions="reassign")
    table = scheme.assign(inputs(VECTORS))
    assert table.level_sizes[0] == 8
    assert len(table) == len(VECTORS)


def test_a_level_keeps_its_nominal_size_where_few_vectors_exist():
    scheme = Quantised(encoder=None, levels=2, codes=32, collisions="expand")
    assert scheme.assign(inputs(VECTORS[:5])).level_sizes == (32, 32)
