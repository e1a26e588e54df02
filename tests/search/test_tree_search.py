"""The cluster tree: a partition by direction, kept once grown; exact where the beam sees all of it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.errors import ArtifactError
from retrograd.search import tree_search
from retrograd.search.nearest import Nearest
from retrograd.search.parts import Parts
from retrograd.search.tree_search import TreeSearch, grow_tree
from tests.geometric_systems import coded_catalogue, questions, system_of

QUERIES = questions(5)


def without_docids(count):
    return replace(system_of(coded_catalogue(count)), table=None)


def documents(searcher, k=10):
    return list(searcher.search(QUERIES, k).documents().values())


@settings(max_examples=25)
@given(
    st.integers(1, 80),
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.integers(0, 9),
)
def test_a_node_splits_into_as_many_clusters_as_wanted_or_single_documents(count, branching, seed):
    vectors = np.random.default_rng(seed).standard_normal((count, 6)).astype(np.float32)
    paths = grow_tree(vectors, branching, seed)
    assert paths.shape == (count, len(branching))
    for level, clusters in enumerate(branching):
        for prefix in np.unique(paths[:, :level], axis=0):
            digits = paths[(paths[:, :level] == prefix).all(axis=1), level]
            assert sorted(set(digits.tolist())) == list(range(min(clusters, len(digits))))
    assert (grow_tree(vectors, branching, seed) == paths).all()
    assert (grow_tree(vectors * 3, branching, seed) == paths).all()


@settings(max_examples=25)
@given(st.integers(1, 120), st.integers(1, 15))
def test_a_beam_that_keeps_every_node_is_exact(count, k):
    parts = without_docids(count)
    tree = TreeSearch(branching=(6, 4), width=200).build(parts)
    assert documents(tree, k) == documents(Nearest().build(parts), k)


def test_a_narrow_beam_finds_most_of_the_nearest_and_scores_few():
    parts = without_docids(2000)
    exact = documents(Nearest().build(parts))
    tree = TreeSearch(branching=(32, 32), width=8).build(parts)
    found = documents(tree)
    share = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, exact, strict=True)])
    assert share >= 0.7
    assert tree.vectors_scored_per_query < 0.5 * 2000


def test_vectors_scored_are_nodes_and_documents():
    parts = without_docids(12)
    searcher = TreeSearch(branching=(12,), width=3).build(parts)
    searcher.search(QUERIES, 2)
    assert searcher.vectors_scored_per_query == 12 + 3
    searcher.search(QUERIES, 5)
    assert searcher.vectors_scored_per_query == 12 + 5


def test_a_grown_tree_is_kept_and_not_grown_again(monkeypatch):
    parts = without_docids(50)
    config = TreeSearch(branching=(4, 4), width=2)
    before = config.build(parts).search(QUERIES, 7)
    assert "tree.4x4.seed0" in parts.arrays
    monkeypatch.setattr(tree_search, "grow_tree", None)
    assert config.build(parts).search(QUERIES, 7) == before
    parts.arrays["tree.4x4.seed0"] = np.zeros((3, 2), np.int32)
    with pytest.raises(ArtifactError, match="places 3 documents but the corpus has 50"):
        config.build(parts)


def test_a_planner_leads_the_way():
    parts = without_docids(200)
    config = TreeSearch(branching=(8, 8), width=1, planner=Nearest(), planner_weight=100.0)
    assert documents(config.build(parts), 1) == documents(Nearest().build(parts), 1)


def test_a_system_with_other_docids_keeps_them():
    parts = system_of(coded_catalogue(30))
    assert TreeSearch(branching=(3,), width=1).build(parts).search(QUERIES, 4).hits
    assert parts.table.depth == 3


def test_what_makes_no_tree_is_refused():
    for options in ({"branching": ()}, {"branching": (0,)}, {"width": 0}):
        with pytest.raises(ValueError):
            TreeSearch(**options)
    assert isinstance(without_docids(3), Parts)
