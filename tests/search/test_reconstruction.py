"""Capacity of ids: the exhaustive ranking by what their codes sum up to."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.docid_table import DocidTable
from retrograd.search.parts import Parts
from retrograd.search.reconstruction import CodeReconstruction
from tests.geometric_systems import coded_catalogue, questions, system_of

QUERIES = questions(4)


@settings(max_examples=30)
@given(st.integers(1, 90), st.integers(0, 99), st.integers(1, 99))
def test_the_order_is_that_of_the_cosine_with_the_reconstruction(count, seed, k):
    table = coded_catalogue(count, (3, 3), seed)
    parts = system_of(table, seed)
    sums = parts.model.reconstruct(table.padded[[table.keys_of(row)[0] for row in range(count)]])
    unit = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    expected = parts.model.query_vectors([query.text for query in QUERIES]) @ unit.T
    ranking = CodeReconstruction().build(parts).search(QUERIES, k)
    for scores, (_, hits) in zip(expected, ranking, strict=True):
        rows = [parts.corpus.row_of[hit.document] for hit in hits]
        assert len(set(rows)) == len(rows) == min(k, count)
        np.testing.assert_allclose([hit.score for hit in hits], np.sort(scores)[::-1][: len(hits)], atol=1e-5)
        np.testing.assert_allclose([hit.score for hit in hits], scores[rows], atol=1e-5)
        assert all(hit.path == table.key(table.keys_of(row)[0]) for hit, row in zip(hits, rows, strict=True))


def test_a_document_of_several_keys_counts_once_with_its_best():
    table = DocidTable.from_keys([[0, 0], [0, 1], [1, 0]], [0, 1, 0], ["a", "b"], level_sizes=(2, 2))
    ranking = CodeReconstruction().build(system_of(table)).search(QUERIES, 2)
    assert all({hit.document for hit in hits} == {"a", "b"} for _, hits in ranking)
    assert len(CodeReconstruction().build(system_of(table)).search([], 2)) == 0


def test_what_has_no_codes_is_refused():
    parts = system_of(coded_catalogue(5))
    with pytest.raises(ValueError, match="docid table"):
        CodeReconstruction().build(Parts(corpus=parts.corpus, model=parts.model))
    ragged = DocidTable.from_keys([[0, 1, 0], [1]], [0, 1], ["d0", "d1"], level_sizes=(6, 6, 6))
    with pytest.raises(ValueError, match="fewer tokens"):
        CodeReconstruction().build(replace(system_of(ragged)))
