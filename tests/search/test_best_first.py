"""Best-first search: what it calls exact is what brute force finds, and less is never called so."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from retrograd.constraints import AllowList, CsrTrie
from retrograd.docid_table import DocidTable
from retrograd.search.beam import beam_search
from retrograd.search.best_first import best_first
from retrograd.search.score_all import best_gain, best_keys, prefix_scores, score_nodes
from tests.catalogues import random_inputs, random_model, tables

seeds = st.integers(0, 999)
bounding = st.sampled_from(["level", "children"])
PLENTY = 10_000
HIDDEN = DocidTable.from_keys([[0, 0], [1]], [0, 1], ["a", "b"], level_sizes=(2, 2))
"""The key that is found later is as likely as the other and comes first."""


def found(result, query):
    """Keys and scores of one query, padding cut off."""
    real = result.keys[query] >= 0
    return result.keys[query][real].tolist(), result.scores[query][real].numpy()


def brute_force(model, inputs, trie, normalise="level"):
    """All keys, best first, equal scores in the order of keys."""
    return best_keys(score_nodes(model, inputs, trie, normalise=normalise), trie, len(trie.leaves))


@settings(max_examples=40)
@given(tables(), seeds, bounding, st.integers(1, 14), st.integers(1, 6), st.booleans())
def test_it_equals_brute_force_and_says_that_it_is_exact(table, seed, normalise, count, expansions, hinted):
    trie = CsrTrie.from_table(table)
    model, inputs = random_model(table, seed), random_inputs(3, seed)
    hint = beam_search(model, inputs, trie, width=2).keys if hinted else None
    result = best_first(
        model,
        inputs,
        trie,
        count=count,
        expansions=expansions,
        most_steps=PLENTY,
        normalise=normalise,
        hint=hint,
    )
    expected = brute_force(model, inputs, trie, normalise)
    assert result.exact.all()
    for query in range(3):
        keys, scores = found(result, query)
        wanted = expected.scores[query, :count].numpy()
        np.testing.assert_allclose(scores, wanted, atol=1e-4)
        own = dict(zip(expected.keys[query].tolist(), expected.scores[query].tolist(), strict=True))
        np.testing.assert_allclose(scores, [own[key] for key in keys], atol=1e-4)
        assert len(set(keys)) == len(keys) == min(count, len(table))
        for column, key in enumerate(keys):
            path = [token for token in result.paths[query, column].tolist() if token >= 0]
            assert tuple(path) == table.key(key)
            assert float(result.steps[query, column].sum()) == pytest.approx(scores[column], abs=1e-4)


@settings(max_examples=40)
@given(tables(), st.integers(1, 14), st.integers(1, 6), bounding)
@example(HIDDEN, 1, 1, "children")
def test_of_equal_scores_the_first_keys_are_found(table, count, expansions, normalise):
    # nothing to tell tokens apart: scores follow from the shape of the trie and are often equal
    model, trie = random_model(table, 0), CsrTrie.from_table(table)
    with torch.no_grad():
        model.output.zero_()
    inputs = random_inputs(2, 0)
    result = best_first(
        model, inputs, trie, count=count, expansions=expansions, most_steps=PLENTY, normalise=normalise
    )
    expected = brute_force(model, inputs, trie, normalise)
    assert result.exact.all()
    assert result.keys.equal(expected.keys[:, : result.keys.shape[1]])


@settings(max_examples=40)
@given(tables(), seeds, st.sampled_from(["level", "children", "none"]), st.integers(1, 5), st.floats(0, 3))
def test_a_prior_that_is_an_upper_bound_keeps_the_guarantee(table, seed, normalise, count, slack):
    trie = CsrTrie.from_table(table)
    model, inputs = random_model(table, seed), random_inputs(2, seed)
    loose = slack * torch.rand(2, trie.num_nodes, generator=torch.Generator().manual_seed(seed))
    total = prefix_scores(score_nodes(model, inputs, trie, normalise=normalise), trie)
    prior = best_gain(total, trie) + loose + 1e-4
    options = {"count": count, "expansions": 1, "most_steps": PLENTY, "normalise": normalise}
    given_all = best_first(model, inputs, trie, prior=prior, **options)
    asked = best_first(model, inputs, trie, prior=lambda query, node: prior[query, node], **options)
    expected = brute_force(model, inputs, trie, normalise)
    assert given_all.exact.all()
    assert asked.keys.equal(given_all.keys)
    for query in range(2):
        np.testing.assert_allclose(
            found(given_all, query)[1], expected.scores[query, :count].numpy(), atol=1e-3
        )


@settings(max_examples=40)
@given(tables(), seeds, st.integers(1, 5), st.integers(0, 3), st.integers(1, 3), st.integers(1, 4))
def test_with_few_steps_it_proves_only_what_is_so_and_is_no_worse_than_its_hint(
    table, seed, count, most_steps, expansions, width
):
    trie = CsrTrie.from_table(table)
    model, inputs = random_model(table, seed), random_inputs(4, seed)
    beam = beam_search(model, inputs, trie, width=width)
    result = best_first(
        model, inputs, trie, count=count, expansions=expansions, most_steps=most_steps, hint=beam.keys
    )
    expected = brute_force(model, inputs, trie)
    for query in range(4):
        keys, scores = found(result, query)
        best = expected.scores[query, :count].numpy()
        assert len(set(keys)) == len(keys)
        if result.exact[query]:
            np.testing.assert_allclose(scores, best, atol=1e-4)
        least = found(beam, query)[1][:count]
        assert (scores[: len(least)] >= least - 1e-4).all()


@settings(max_examples=30)
@given(tables(), seeds, st.sets(st.integers(0, 13)), st.integers(1, 5), bounding)
def test_under_an_allow_list_it_finds_the_best_of_the_allowed(table, seed, allowed, count, normalise):
    documents = sorted(document for document in allowed if document < len(table.document_ids))
    constraint = AllowList.from_documents(CsrTrie.from_table(table), table, documents)
    model, inputs = random_model(table, seed), random_inputs(2, seed)
    result = best_first(model, inputs, constraint, count=count, most_steps=PLENTY, normalise=normalise)
    expected = beam_search(model, inputs, constraint, width=len(table), normalise=normalise)
    assert result.exact.all()
    legal = {int(key) for key, document in table.pairs if document in documents}
    for query in range(2):
        keys, scores = found(result, query)
        assert set(keys) <= legal
        np.testing.assert_allclose(scores, found(expected, query)[1][:count], atol=1e-4)


def test_it_finds_what_a_beam_loses_and_one_step_is_too_few_to_prove_it():
    # token 1 leads the first level but its mass is spread over many keys; the best key lies under token 0
    keys = [[0, 0], *([1, token] for token in range(9))]
    table = DocidTable.from_keys(keys, range(10), [str(row) for row in range(10)], level_sizes=(2, 9))
    model, trie, inputs = random_model(table, 0), CsrTrie.from_table(table), random_inputs(1, 0)
    with torch.no_grad():
        model.output.zero_()
    shift = torch.zeros(1, trie.num_nodes)
    assert beam_search(model, inputs, trie, width=1, normalise="children", prior=None).keys.tolist() == [[0]]
    shift[0, trie.level_start[1] + 1] = 1.0  # the beam is led astray
    led = beam_search(model, inputs, trie, width=1, normalise="children", prior=shift)
    assert led.keys.tolist() != [[0]]
    result = best_first(model, inputs, trie, count=1, normalise="children", hint=led.keys, expansions=1)
    assert result.keys.tolist() == [[0]]
    assert result.exact.all()
    hasty = best_first(model, inputs, trie, count=1, normalise="children", hint=led.keys, most_steps=0)
    assert hasty.keys.equal(led.keys)
    assert not hasty.exact.any()


def test_a_prior_of_minus_infinity_rules_out_prefixes_and_keys():
    table = DocidTable.from_keys([[0], [1, 0], [1, 1]], range(3), ["a", "b", "c"], level_sizes=(2, 2))
    model, trie, inputs = random_model(table, 0), CsrTrie.from_table(table), random_inputs(1, 0)
    prior = torch.zeros(1, trie.num_nodes)
    prior[0, trie.node_of_key[0]] = -torch.inf
    assert sorted(best_first(model, inputs, trie, count=3, prior=prior).keys[0].tolist()) == [1, 2]
    prior[0] = 0.0
    prior[0, trie.parent[trie.node_of_key[1]]] = -torch.inf
    assert best_first(model, inputs, trie, count=3, prior=prior).keys[0].tolist() == [0]


def test_numbers_that_mean_nothing_are_refused():
    table = DocidTable.from_keys([[0], [1]], [0, 1], ["a", "b"], level_sizes=(2,))
    model, trie, inputs = random_model(table, 0), CsrTrie.from_table(table), random_inputs(1, 0)
    for options in ({"count": 0}, {"expansions": 0}, {"most_steps": -1}, {"normalise": "x"}):
        with pytest.raises(ValueError):
            best_first(model, inputs, trie, **({"count": 1} | options))
    with pytest.raises(ValueError, match="raw logits"):
        best_first(model, inputs, trie, count=1, normalise="none")
