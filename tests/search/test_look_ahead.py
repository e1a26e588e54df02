"""Values of trie nodes equal what brute force over the documents below gives; work is counted."""

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.search.look_ahead import (
    SCALES,
    BestDescendants,
    CentroidCosines,
    Descendants,
    Planner,
    RoutedCosines,
    shares_of_best,
)
from retrograd.types import Hit, Query, Ranking
from tests.catalogues import tables
from tests.geometric_systems import coded_catalogue

seeds = st.integers(0, 99)


def unit(rows, seed):
    vectors = np.random.default_rng(seed).standard_normal((rows, 5)).astype(np.float32)
    return torch.from_numpy(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def documents_below(table, trie):
    """For each node the document rows below it, once per key."""
    below = [[] for _ in range(trie.num_nodes)]
    for key, document in table.pairs.tolist():
        node = int(trie.node_of_key[key])
        for _ in range(len(table.key(key)) + 1):
            below[node].append(document)
            node = int(trie.parent[node])
    return below


@settings(max_examples=30)
@given(tables(), seeds)
def test_centroids_are_the_unit_means_of_the_documents_below(table, seed):
    vectors, below = unit(len(table.document_ids), seed), Descendants.from_table(table)
    centroids = below.centroids(vectors)
    for node, rows in enumerate(documents_below(table, below.trie)):
        mean = vectors[rows].double().sum(dim=0) if rows else torch.zeros(5).double()
        if mean.norm() > 1e-3 or not rows:  # the direction of next to nothing is noise
            expected = mean / mean.norm().clamp(min=1e-12)
            torch.testing.assert_close(centroids[node].double(), expected, atol=1e-4, rtol=0)


@settings(max_examples=30)
@given(tables(), seeds)
def test_the_best_below_is_the_largest_value_of_the_documents_below(table, seed):
    below = Descendants.from_table(table)
    values = torch.randn(3, len(table.document_ids), generator=torch.Generator().manual_seed(seed))
    best = below.best(values)
    for node, rows in enumerate(documents_below(table, below.trie)):
        expected = values[:, rows].max(dim=1).values if rows else torch.full((3,), -torch.inf)
        assert best[:, node].equal(expected)


@settings(max_examples=30)
@given(tables(), seeds, st.integers(1, 40))
def test_candidates_get_their_cosines_however_many_are_asked_and_each_is_counted(table, seed, count):
    below = Descendants.from_table(table)
    queries, centroids = unit(3, seed), below.centroids(unit(len(table.document_ids), seed + 1))
    draw = torch.Generator().manual_seed(seed)
    query = torch.randint(0, 3, (count,), generator=draw).sort().values
    node = torch.randint(0, len(centroids), (count,), generator=draw)
    outlook = CentroidCosines(queries, centroids)
    found = outlook(query, node)
    torch.testing.assert_close(found, (queries @ centroids.T)[query, node])
    outlook(query[:1], node[:1])
    assert outlook.scored.tolist() == [int((query == row).sum()) + int(query[0] == row) for row in range(3)]


@settings(max_examples=30)
@given(tables(), seeds)
def test_a_routed_level_is_seen_from_its_own_query_vector(table, seed):
    below = Descendants.from_table(table)
    trie, queries = below.trie, [unit(2, seed + level) for level in range(table.depth)]
    centroids = below.centroids(unit(len(table.document_ids), seed))
    outlook = RoutedCosines(queries, centroids, trie)
    node = torch.arange(1, trie.num_nodes)
    found = outlook(torch.ones_like(node), node)
    for level, (first, after) in enumerate(pairwise(trie.level_start[1:])):
        expected = centroids[first:after] @ queries[level][1]
        torch.testing.assert_close(found[first - 1 : after - 1], expected)
    assert outlook.scored.tolist() == [0, trie.num_nodes - 1]


class Says:
    """A searcher that always answers the same; asked for nothing, it still answers."""

    def __init__(self, *hits):
        self.hits = tuple(Hit(document, score) for document, score in hits)

    def search(self, queries, k):
        return Ranking(tuple(query.id for query in queries), (self.hits[:k],) * len(queries))


QUERIES = [Query("a", "x"), Query("b", "y")]


@settings(max_examples=30)
@given(tables(), st.sampled_from(sorted(SCALES)))
def test_a_planner_that_finds_nothing_thinks_the_same_of_every_node(table, scale):
    below = Descendants.from_table(table)
    row_of = {name: row for row, name in enumerate(table.document_ids)}
    values = Planner(Says(), row_of, below, depth=5, scale=scale)(QUERIES)
    for node, rows in enumerate(documents_below(table, below.trie)):
        assert not rows or (values[:, node] == 0).all()


@settings(max_examples=30)
@given(tables(), st.integers(1, 3))
def test_a_planner_values_a_node_by_the_best_document_it_found_below(table, depth):
    below = Descendants.from_table(table)
    row_of = {name: row for row, name in enumerate(table.document_ids)}
    answers = [(name, 4.0 - row) for name, row in row_of.items() if row < 2]
    values = Planner(Says(*answers), row_of, below, depth=depth, scale="max")(QUERIES)
    shares = {row_of[name]: score / 4.0 for name, score in answers[:depth]}
    for node, rows in enumerate(documents_below(table, below.trie)):
        if rows:
            assert (values[:, node] == max(shares.get(row, 0.0) for row in rows)).all()


@settings(max_examples=30)
@given(st.lists(st.floats(-10, 10), min_size=1, max_size=5))
def test_shares_lie_between_0_and_1_and_the_best_positive_score_gets_1(scores):
    said = shares_of_best(np.array([scores]), np.ones((1, len(scores)), bool))
    assert ((said.scores >= 0) & (said.scores <= 1)).all()
    assert said.missing == 0
    if max(scores) > 0:
        assert said.scores[0, int(np.argmax(scores))] == 1


def test_the_nearest_descendant_is_found_at_the_price_of_every_document():
    table = coded_catalogue(30)
    below, queries, vectors = Descendants.from_table(table), unit(2, 0), unit(30, 1)
    outlook = BestDescendants(queries, vectors, below)
    root = outlook(torch.tensor([0, 1]), torch.tensor([0, 0]))
    torch.testing.assert_close(root, (queries @ vectors.T).max(dim=1).values)
    assert outlook.scored.tolist() == [30, 30]
