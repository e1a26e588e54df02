"""Exact search: equal to sorting all inner products, whatever the batch, ties in row order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from retrograd.indexes import flat
from retrograd.indexes.flat import Flat


def unit_vectors(count: int, dimensions: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng([seed, count, dimensions]).standard_normal((count, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def sorted_by_hand(vectors: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    scores = (queries.astype(np.float64) @ vectors.astype(np.float64).T).astype(np.float32)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


@given(st.integers(1, 90), st.integers(1, 12), st.integers(1, 90), st.integers(0, 99))
def test_it_equals_a_stable_sort_even_where_vectors_repeat(distinct, repeats, k, seed):
    vectors = np.tile(unit_vectors(distinct, 8, seed), (repeats, 1))
    queries = unit_vectors(3, 8, seed + 1)
    _, rows = Flat().build(vectors).search(queries, min(k, len(vectors)))
    np.testing.assert_array_equal(rows, sorted_by_hand(vectors, queries, k))


def test_more_ties_than_spare_candidates_still_come_in_row_order():
    vectors = np.tile(unit_vectors(1, 16), (500, 1))
    _, rows = Flat().build(vectors).search(vectors[:2], 7)
    assert rows.tolist() == [list(range(7))] * 2


def test_a_zero_query_ranks_by_row():
    _, rows = Flat().build(unit_vectors(100, 8)).search(np.zeros((1, 8), np.float32), 5)
    assert rows.tolist() == [[0, 1, 2, 3, 4]]


def test_rows_beyond_the_corpus_are_marked():
    scores, rows = Flat().build(unit_vectors(3, 4)).search(unit_vectors(2, 4, 1), 5)
    assert (rows[:, 3:] == -1).all()
    assert sorted(rows[0, :3].tolist()) == [0, 1, 2]
    assert np.isneginf(scores[:, 3:]).all()


def test_the_batch_changes_nothing(monkeypatch):
    index, queries = Flat().build(unit_vectors(400, 32)), unit_vectors(20, 32, 1)
    scores, rows = index.search(queries, 10)
    monkeypatch.setattr(flat, "_SCORES_AT_ONCE", 3 * 400)
    for other_scores, other_rows in (
        index.search(queries, 10),
        [np.concatenate(part) for part in zip(*(index.search(q[None], 10) for q in queries), strict=True)],
    ):
        np.testing.assert_array_equal(scores, other_scores)
        np.testing.assert_array_equal(rows, other_rows)


def test_no_query_gives_no_row():
    scores, rows = Flat().build(unit_vectors(3, 4)).search(np.zeros((0, 4), np.float32), 2)
    assert scores.shape == rows.shape == (0, 2)
