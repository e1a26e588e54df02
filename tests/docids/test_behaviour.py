"""Vectors of what is taken together: near where items come together, guessed from texts elsewhere."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from retrograd.docids.behaviour import behaviour_vectors, text_map, unit_rows


def blocks(sizes, apart=0.05):
    """Counts of items that come with those of their own block, and a little with all others."""
    owner = np.repeat(np.arange(len(sizes)), sizes)
    counts = np.where(owner[:, None] == owner, 1.0, apart)
    np.fill_diagonal(counts, 0.0)
    return counts, owner


def test_inner_products_are_the_positive_mutual_information_at_full_rank():
    counts, _ = blocks([4, 3, 5])
    total = counts.sum()
    expected = np.log(np.maximum(counts * total / np.outer(counts.sum(1), counts.sum(0)), 1.0))
    values, axes = np.linalg.eigh(expected)
    made = axes * np.sqrt(np.abs(values))  # a symmetric matrix: singular values are absolute eigenvalues
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    found = behaviour_vectors(csr_array(counts), 12)
    assert found @ found.T == pytest.approx(made @ made.T, abs=1e-4)


def test_items_taken_together_are_near_each_other():
    counts, owner = blocks([6, 6, 6])
    found = behaviour_vectors(csr_array(counts), 3)
    nearness = found @ found.T
    same = owner[:, None] == owner
    assert nearness[same].min() > nearness[~same].max()


def test_an_item_nobody_took_has_no_vector():
    counts, _ = blocks([3, 3])
    counts[2] = counts[:, 2] = 0.0
    found = behaviour_vectors(csr_array(counts), 4)
    assert not found[2].any()
    assert np.linalg.norm(np.delete(found, 2, 0), axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    assert not behaviour_vectors(csr_array((3, 3)), 4).any()


def test_the_map_from_texts_is_that_of_least_squares():
    rng = np.random.default_rng(0)
    right = rng.normal(size=(5, 3))
    texts = rng.normal(size=(4000, 5)).astype(np.float32)
    assert text_map(texts, texts @ right) == pytest.approx(right, abs=5e-3)


def test_rows_of_nothing_stay_nothing():
    assert unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[0.6, 0.8], [0.0, 0.0]]
