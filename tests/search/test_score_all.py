"""Exact enumeration: the same as the training face of the model, in blocks of any size."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.constraints import CsrTrie
from retrograd.docid_table import DocidTable
from retrograd.search.beam import NORMALISE, beam_search
from retrograd.search.score_all import best_gain, best_keys, prefix_scores, score_nodes
from tests.catalogues import random_inputs, random_model, tables, teacher_forced


@given(tables(), st.integers(0, 99), st.sampled_from(NORMALISE), st.integers(1, 9))
def test_every_key_gets_its_teacher_forced_score_whatever_the_block(table, seed, normalise, block):
    trie = CsrTrie.from_table(table)
    model, inputs = random_model(table, seed), random_inputs(3, seed)
    steps = score_nodes(model, inputs, trie, normalise=normalise, block=block)
    result = best_keys(steps, trie, len(table))
    expected = teacher_forced(model, inputs, table, normalise)
    for query in range(3):
        keys = result.keys[query].tolist()
        assert sorted(keys) == list(range(len(table)))
        np.testing.assert_allclose(result.scores[query].numpy(), expected[query][keys], atol=1e-4)


@given(tables(), st.integers(0, 99), st.integers(1, 20))
def test_it_answers_what_a_beam_as_wide_as_the_catalogue_answers(table, seed, count):
    trie = CsrTrie.from_table(table)
    model, inputs = random_model(table, seed), random_inputs(2, seed)
    exact = best_keys(score_nodes(model, inputs, trie), trie, count)
    beam = beam_search(model, inputs, trie, width=len(table))
    kept = min(count, len(table))
    torch.testing.assert_close(exact.scores, beam.scores[:, :kept], atol=1e-4, rtol=1e-4)
    same = exact.keys == beam.keys[:, :kept]
    assert torch.equal(exact.paths[same], beam.paths[:, :kept][same])
    torch.testing.assert_close(exact.steps[same], beam.steps[:, :kept][same], atol=1e-4, rtol=1e-4)


@settings(max_examples=30)
@given(tables(), st.integers(0, 99), st.sampled_from(NORMALISE), st.integers(1, 5))
def test_the_best_gain_below_makes_a_beam_of_any_width_exact(table, seed, normalise, width):
    trie = CsrTrie.from_table(table)
    model, inputs = random_model(table, seed), random_inputs(2, seed)
    steps = score_nodes(model, inputs, trie, normalise=normalise)
    prior = best_gain(prefix_scores(steps, trie), trie)
    found = beam_search(model, inputs, trie, width=width, normalise=normalise, prior=prior)
    exact = best_keys(steps, trie, width)
    torch.testing.assert_close(found.scores, exact.scores, atol=1e-3, rtol=1e-4)


def test_for_one_token_docids_it_is_one_softmax_over_the_catalogue():
    table = DocidTable.from_keys(
        [[row] for row in range(50)], range(50), [str(i) for i in range(50)], level_sizes=(50,)
    )
    model, inputs = random_model(table, 0), random_inputs(2, 0)
    result = best_keys(score_nodes(model, inputs, CsrTrie.from_table(table)), CsrTrie.from_table(table), 50)
    with torch.no_grad():
        logits = model.logits(inputs, torch.zeros(2, 1, dtype=torch.int64))[:, 0].log_softmax(-1)
    torch.testing.assert_close(result.scores, logits.gather(1, result.keys), atol=1e-5, rtol=1e-5)
