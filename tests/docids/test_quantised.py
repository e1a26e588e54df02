"""Quantised ids: codes of the vector, then the collision policy."""

from dataclasses import replace

import numpy as np
import pytest

from retrograd.docids.behaviour import NextItemVectors
from retrograd.docids.collisions import COLLISIONS
from retrograd.docids.inputs import DocidInputs
from retrograd.docids.quantised import Quantised
from retrograd.docids.report import describe_table
from retrograd.errors import InputError
from retrograd.quantizers import QUANTIZERS, ResidualAutoencoder, ResidualKMeans
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


def test_a_chosen_fitting_makes_the_codes():
    fitting = ResidualAutoencoder(hidden=(8,), width=4, epochs=5)
    scheme = Quantised(encoder=None, quantizer="residual_autoencoder", levels=2, codes=4, fitting=fitting)
    table = scheme.assign(inputs(VECTORS))
    assert np.array_equal(keys_by_document(table)[:, :2], fitting.fit(VECTORS, 2, 4, seed=0).encode(VECTORS))


def test_a_fitting_of_another_quantizer_is_refused():
    with pytest.raises(ValueError, match="ResidualKMeans fits 'residual', not quantizer='product'"):
        Quantised(encoder=None, fitting=ResidualKMeans())
    with pytest.raises(ValueError, match="metadata is read of documents"):
        Quantised(encoder=None, of="pseudo_queries", metadata=("brand",))


def test_metadata_are_read_behind_the_contents():
    corpus = Corpus(Document(f"d{at}", title=f"t{at}", metadata={"brand": "b" * at}) for at in range(4))
    read = []

    def vectors_of_texts(encoder, texts):
        read.extend(texts)
        return VECTORS[: len(texts)]

    scheme = Quantised(encoder=None, levels=2, codes=4, metadata=("brand", "missing"))
    scheme.assign(DocidInputs(corpus, 0, lambda encoder, of: None, vectors_of_texts=vectors_of_texts))
    assert read == ["t0", "t1. b", "t2. bb", "t3. bbb"]


def test_the_report_says_what_the_codes_lost_and_who_shares_them():
    twins = np.concatenate([VECTORS, VECTORS[:30]])
    scheme = Quantised(encoder=None, quantizer="residual", levels=2, codes=8)
    table = scheme.assign(inputs(twins))
    fitted = QUANTIZERS["residual"].fit(twins, 2, 8, seed=0)
    codes = fitted.encode(twins)
    lost = np.square(fitted.decode(codes) - twins).sum() / np.square(twins - twins.mean(axis=0)).sum()
    report = describe_table(table)
    assert report.fit_error == pytest.approx(lost, rel=1e-4)
    _, member, counts = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    assert report.codes_alike == (counts[member.reshape(-1)] > 1).sum() >= 60
    assert report.sharing_documents == 0
    assert any("have the codes of another document" in alarm for alarm in report.alarms)
    assert any(f"codes lose {lost:.1%} of the variance" in line for line in report.lines())


def test_codes_that_tell_nearly_all_apart_raise_no_alarm():
    table = Quantised(encoder=None, quantizer="residual", levels=3, codes=16).assign(inputs(VECTORS))
    assert describe_table(table).alarms == ()


def test_equal_vectors_lose_nothing():
    table = Quantised(encoder=None, levels=1, codes=4).assign(inputs(np.ones((5, 2), np.float32)))
    assert describe_table(table).fit_error == 0


ALIGNED = ResidualAutoencoder(hidden=(8,), width=4, epochs=5, alignment=3.0)


def test_a_fitting_that_aligns_gets_the_companions_it_asks_for():
    beside = np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32)
    companions = NextItemVectors(width=4, epochs=3)
    scheme = Quantised(
        encoder=None,
        quantizer="residual_autoencoder",
        levels=2,
        codes=4,
        fitting=ALIGNED,
        companions=companions,
        collisions="expand",
    )
    asked = []
    given = replace(inputs(VECTORS), next_item_vectors=lambda config: asked.append(config) or beside)
    expected = ALIGNED.fit(VECTORS, 2, 4, seed=0, companions=beside).encode(VECTORS)
    assert np.array_equal(keys_by_document(scheme.assign(given)), expected)
    assert asked == [companions]
    with pytest.raises(InputError, match="no interactions"):
        scheme.assign(inputs(VECTORS))
    unaligned = replace(scheme, fitting=replace(ALIGNED, alignment=0.0))
    unaligned.assign(inputs(VECTORS))
    assert len(asked) == 1


def test_companions_and_alignment_belong_together():
    residual = {"encoder": None, "quantizer": "residual_autoencoder"}
    with pytest.raises(ValueError, match="alignment needs companions"):
        Quantised(**residual, fitting=ALIGNED)
    with pytest.raises(ValueError, match="one width, not 32 and 4"):
        Quantised(**residual, fitting=ALIGNED, companions=NextItemVectors())
    with pytest.raises(ValueError, match="for a ResidualAutoencoder"):
        Quantised(**residual, companions=NextItemVectors())
