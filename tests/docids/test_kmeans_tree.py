"""The cluster tree: near documents share a prefix, the frozen tree places later ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.docids.inputs import DocidInputs
from retrograd.docids.kmeans_tree import CentroidTree, KMeansTree
from retrograd.types import Corpus, Document

SCHEME = KMeansTree(encoder=None, branching=4, leaf_size=5)


def inputs(vectors, start=0):
    names = [f"d{start + row}" for row in range(len(vectors))]
    return DocidInputs(Corpus(Document(name) for name in names), 0, lambda encoder, of: vectors)


def normal(rows, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, 6)).astype(np.float32)


def key_of(table, document):
    return table.key(int(table.keys_of(document)[0]))


def grow(vectors, **options):
    return CentroidTree.grow(
        vectors, **{"branching": 4, "leaf_size": 5, "max_depth": 10, "seed": 0} | options
    )


@settings(max_examples=20)
@given(st.integers(1, 150), st.integers(2, 5), st.integers(1, 8))
def test_no_leaf_of_distinct_vectors_is_larger_than_asked(count, branching, leaf_size):
    vectors = normal(count)
    leaf, path = grow(vectors, branching=branching, leaf_size=leaf_size, max_depth=99).walk(vectors)
    assert np.bincount(leaf).max() <= leaf_size
    assert path.max(initial=0) < branching


@settings(max_examples=20)
@given(st.integers(1, 100))
def test_a_leaf_numbers_its_documents_without_a_gap_in_row_order(count):
    table = SCHEME.assign(inputs(normal(count)))
    leaves = {}
    for document in range(count):
        *path, index = key_of(table, document)
        assert index == leaves.setdefault(tuple(path), 0)
        leaves[tuple(path)] += 1


def test_blobs_become_prefixes():
    blob = np.repeat(np.arange(4), 30)
    vectors = (10 * np.eye(6)[blob] + 0.1 * normal(120)).astype(np.float32)
    table = SCHEME.assign(inputs(vectors))
    first = [key_of(table, document)[0] for document in range(120)]
    assert len(set(zip(blob.tolist(), first, strict=True))) == len(set(first)) == 4


def test_a_new_document_goes_to_the_leaf_of_its_twin_and_takes_the_next_index():
    vectors = normal(100)
    table = SCHEME.assign(inputs(vectors))
    longer = SCHEME.insert(table, inputs(vectors, start=100))
    for document in range(100):
        *path, _ = key_of(table, document)
        *twin, index = key_of(longer, 100 + document)
        assert twin == path
        assert index >= sum(key_of(table, other)[:-1] == tuple(path) for other in range(100))


def test_a_leaf_outgrows_its_level_when_many_arrive():
    vectors = normal(30)
    table = SCHEME.assign(inputs(vectors))
    longer = SCHEME.insert(table, inputs(np.repeat(vectors[:1], 50, axis=0), start=30))
    level = len(key_of(table, 0)) - 1
    assert longer.level_sizes[level] >= 51 > table.level_sizes[level]


def test_equal_vectors_that_cannot_be_split_form_one_large_leaf():
    table = SCHEME.assign(inputs(np.full((40, 6), 1 / 3, np.float32)))
    assert table.level_sizes == (40,)


def test_a_duplicate_inside_a_larger_corpus_is_not_split_for_ever():
    table = SCHEME.assign(inputs(np.concatenate([np.full((30, 6), 1 / 3, np.float32), normal(60)])))
    paths = {key_of(table, document)[:-1] for document in range(30)}
    assert len(paths) == 1
    assert max(table.offsets[1:] - table.offsets[:-1]) <= 6


@pytest.mark.parametrize("max_depth", [0, 1, 3])
def test_outliers_at_every_scale_do_not_make_endless_keys(max_depth):
    vectors = (2.0 ** np.arange(60))[:, None].astype(np.float32)
    tree = grow(vectors, branching=2, leaf_size=1, max_depth=max_depth)
    assert tree.walk(vectors)[1].shape[1] <= max_depth


def test_a_shared_vocabulary_has_one_size_and_the_same_keys():
    vectors = normal(80)
    apart = SCHEME.assign(inputs(vectors))
    shared = KMeansTree(encoder=None, branching=4, leaf_size=5, position_aware=False).assign(inputs(vectors))
    assert shared.shared_vocabulary
    assert shared.level_sizes == (max(apart.level_sizes),) * apart.depth
    assert np.array_equal(shared.tokens, apart.tokens)


def test_an_index_is_never_given_twice():
    vectors = normal(30)
    table = SCHEME.assign(inputs(vectors))
    tree_state = dict(table.state)
    longer = SCHEME.insert(table, inputs(vectors[:1], start=30))
    assert longer.state["next_index"].sum() == tree_state["next_index"].sum() + 1
    assert all(
        np.array_equal(longer.state[name], tree_state[name]) for name in tree_state if name != "next_index"
    )
