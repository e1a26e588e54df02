"""Diverse beams: as the definition says, one group at a time, by enumeration."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from retrograd.constraints import CsrTrie
from retrograd.docid_table import DocidTable
from retrograd.search import beam
from retrograd.search.beam import beam_search
from retrograd.search.diverse import diverse_beam
from retrograd.search.score_all import prefix_scores, score_nodes
from tests.catalogues import random_inputs, random_model, tables

seeds = st.integers(0, 999)


def found(result, query):
    """Keys and scores of one query, padding cut off."""
    real = result.keys[query] >= 0
    return result.keys[query][real].tolist(), result.scores[query][real].numpy()


def by_definition(table, trie, total, width, groups, penalty):
    """Keys of one query, all groups; the smallest gap between what stayed and what did not."""
    frontiers, gap = [[()] for _ in range(groups)], np.inf
    node_of = {table.key(key)[:length]: None for key in range(len(table)) for length in range(4)}
    for key in range(len(table)):
        node = int(trie.node_of_key[key])
        for length in range(len(table.key(key)), -1, -1):
            node_of[table.key(key)[:length]] = node
            node = int(trie.parent[node])
    whole = {table.key(key) for key in range(len(table))}
    for level in range(table.depth):
        taken = np.zeros(100)
        for group, frontier in enumerate(frontiers):
            options = []
            for prefix in frontier:
                if prefix in whole:
                    options.append((float(total[node_of[prefix]]), prefix))
                    continue
                for child in sorted(p for p in node_of if len(p) == level + 1 and p[:-1] == prefix):
                    options.append((float(total[node_of[child]]) - penalty * taken[child[-1]], child))
            options.sort(key=lambda option: (-option[0], option[1]))
            if len(options) > width:
                gap = min(gap, options[width - 1][0] - options[width][0])
            frontiers[group] = [prefix for _, prefix in options[:width]]
            for prefix in frontiers[group]:
                if len(prefix) == level + 1:
                    taken[prefix[-1]] += 1
    return {prefix for frontier in frontiers for prefix in frontier}, gap


@settings(max_examples=50)
@given(
    tables(), seeds, st.integers(1, 3), st.integers(1, 3), st.sampled_from([0.0, 0.3, 2.0]), st.integers(1, 9)
)
def test_it_answers_what_the_definition_says(table, seed, width, groups, penalty, block_rows):
    trie, inputs, model = CsrTrie.from_table(table), random_inputs(3, seed), random_model(table, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beam, "BLOCK_ROWS", block_rows)
        result = diverse_beam(model, inputs, trie, width=width, groups=groups, penalty=penalty)
    total = prefix_scores(score_nodes(model, inputs, trie), trie)
    for query in range(3):
        expected, gap = by_definition(table, trie, total[query], width, groups, penalty)
        assume(gap > 1e-4)
        keys, scores = found(result, query)
        assert len(set(keys)) == len(keys)
        assert {table.key(key) for key in keys} == expected
        np.testing.assert_allclose(scores, total[query, trie.node_of_key[keys]].numpy(), atol=1e-4)
        assert (np.diff(scores) <= 0).all()
        for column, key in enumerate(keys):
            path = [token for token in result.paths[query, column].tolist() if token >= 0]
            assert tuple(path) == table.key(key)
            assert float(result.steps[query, column].sum()) == pytest.approx(scores[column], abs=1e-4)


@settings(max_examples=20)
@given(tables(), seeds, st.integers(1, 4), st.integers(1, 3))
def test_without_a_penalty_all_groups_are_one_beam(table, seed, width, groups):
    model, inputs, trie = random_model(table, seed), random_inputs(2, seed), CsrTrie.from_table(table)
    plain = beam_search(model, inputs, trie, width=width)
    result = diverse_beam(model, inputs, trie, width=width, groups=groups, penalty=0.0)
    for query in range(2):
        assert set(found(result, query)[0]) == set(found(plain, query)[0])


def test_a_strong_penalty_spreads_groups_over_the_first_tokens():
    keys = [[one, two] for one in range(4) for two in range(4)]
    table = DocidTable.from_keys(keys, range(16), [str(row) for row in range(16)], level_sizes=(4, 4))
    model, trie, inputs = random_model(table, 1), CsrTrie.from_table(table), random_inputs(2, 1)
    result = diverse_beam(model, inputs, trie, width=1, groups=4, penalty=1e3)
    assert all(sorted(row) == [0, 1, 2, 3] for row in result.paths[:, :, 0].tolist())


def test_numbers_that_mean_nothing_are_refused():
    table = DocidTable.from_keys([[0], [1]], [0, 1], ["a", "b"], level_sizes=(2,))
    model, trie, inputs = random_model(table, 0), CsrTrie.from_table(table), random_inputs(1, 0)
    for options in ({"groups": 0}, {"penalty": -1.0}, {"width": 0}):
        with pytest.raises(ValueError):
            diverse_beam(model, inputs, trie, **({"width": 1, "groups": 1, "penalty": 1.0} | options))
    assert torch.is_inference(diverse_beam(model, inputs, trie, width=1, groups=1, penalty=1.0).keys)
