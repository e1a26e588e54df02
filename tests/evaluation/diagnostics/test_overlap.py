"""Neighbours that share codes: against pairs counted one by one, and where there is nothing to count."""

import numpy as np
import pytest

from retrograd.errors import InputError
from retrograd.evaluation.diagnostics.overlap import neighbour_overlap

RNG = np.random.default_rng(4)


def counted(codes, vectors, neighbours):
    """Pair by pair."""
    hits, pairs = np.zeros(codes.shape[1]), 0
    for row, vector in enumerate(vectors):
        cosines = {
            other: -vector @ v / np.linalg.norm(vector) / np.linalg.norm(v)
            for other, v in enumerate(vectors)
            if other != row
        }
        for other in sorted(cosines, key=lambda at: (cosines[at], at))[:neighbours]:
            pairs += 1
            for level in range(codes.shape[1]):
                hits[level] += (codes[row, : level + 1] == codes[other, : level + 1]).all()
    return hits / pairs


def test_it_is_the_share_of_pairs_counted_one_by_one():
    codes, vectors = RNG.integers(0, 3, (30, 3)), RNG.normal(size=(30, 5))
    found = neighbour_overlap(codes, vectors, neighbours=4)
    np.testing.assert_allclose(found.shared, counted(codes, vectors, 4))
    np.testing.assert_allclose(found.by_chance, counted(codes, vectors, 29))
    assert found.documents == 30
    assert found.neighbours == 4


def test_codes_of_the_clusters_share_all_and_of_others_only_by_chance():
    owner = np.arange(60) % 3
    vectors = np.eye(3)[owner] + 0.01 * RNG.normal(size=(60, 3))
    told = neighbour_overlap(owner[:, None], vectors, neighbours=5)
    untold = neighbour_overlap(RNG.permutation(owner)[:, None], vectors, neighbours=5)
    assert told.shared == (1.0,)
    assert told.by_chance == untold.by_chance == (19 / 59,)
    assert untold.shared[0] < 0.5


def test_documents_without_a_vector_do_not_count():
    codes, vectors = RNG.integers(0, 2, (20, 1)), RNG.normal(size=(20, 4))
    more = np.concatenate([vectors, np.zeros((5, 4))])
    found = neighbour_overlap(np.concatenate([codes, np.full((5, 1), 7)]), more, neighbours=3)
    assert found == neighbour_overlap(codes, vectors, neighbours=3)


def test_a_document_with_many_twins_is_not_its_own_neighbour():
    found = neighbour_overlap(np.arange(6)[:, None], np.ones((6, 2)), neighbours=2)
    assert found.shared == (0.0,)


@pytest.mark.parametrize(
    ("codes", "vectors", "neighbours"),
    [
        (np.zeros((2, 1)), np.ones((3, 2)), 1),
        (np.zeros(2), np.ones((2, 2)), 1),
        (np.zeros((2, 1)), np.ones((2, 2)), 0),
        (np.zeros((2, 1)), np.array([[1.0], [0.0]]), 1),
    ],
)
def test_what_does_not_fit_is_refused(codes, vectors, neighbours):
    with pytest.raises(InputError):
        neighbour_overlap(codes, vectors, neighbours=neighbours)


def test_it_says_in_words_what_it_found():
    lines = neighbour_overlap(np.array([[0], [0]]), np.ones((2, 1))).lines()
    assert lines == ["the first 1 codes are shared by 100.0% of 1 neighbours, 100.00% by chance"]
