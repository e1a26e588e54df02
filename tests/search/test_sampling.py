"""Sampling without repeats: every key once, the right law, the same answers for the same seed."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.constraints import AllowList, CsrTrie
from retrograd.docid_table import DocidTable
from retrograd.search.beam import beam_search
from retrograd.search.sampling import rising_temperatures, sample_keys
from retrograd.search.score_all import best_keys, score_nodes
from tests.catalogues import random_inputs, random_model, tables, teacher_forced

seeds = st.integers(0, 999)


def draw(model, inputs, trie, temperatures, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return sample_keys(model, inputs, trie, temperatures=temperatures, generator=generator, **options)


@settings(max_examples=40)
@given(tables(), seeds, st.integers(0, 20), st.sampled_from([0.0, 0.5, 1.0, 3.0]), st.booleans())
def test_keys_are_valid_scored_and_drawn_once_until_none_is_left(table, seed, rounds, temperature, alike):
    model, inputs, trie = random_model(table, seed), random_inputs(3, seed), CsrTrie.from_table(table)
    result = draw(model, inputs, trie, [temperature] * rounds, seed, alike=alike)
    expected = teacher_forced(model, inputs, table, "level")
    for query in range(3):
        keys = result.keys[query].tolist()
        assert len(set(keys)) == len(keys) == min(rounds, len(table))
        np.testing.assert_allclose(result.scores[query].numpy(), expected[query][keys], atol=1e-4)
        for column, key in enumerate(keys):
            path = [token for token in result.paths[query, column].tolist() if token >= 0]
            assert tuple(path) == table.key(key)


@settings(max_examples=30)
@given(tables(), seeds, st.sets(st.integers(0, 13)))
def test_under_an_allow_list_the_allowed_are_drawn_and_no_other(table, seed, allowed):
    documents = sorted(document for document in allowed if document < len(table.document_ids))
    constraint = AllowList.from_documents(CsrTrie.from_table(table), table, documents)
    result = draw(random_model(table, seed), random_inputs(2, seed), constraint, [1.0] * 20, seed)
    legal = {int(key) for key, document in table.pairs if document in documents}
    assert all(sorted(keys) == sorted(legal) for keys in result.keys.tolist())


@settings(max_examples=30)
@given(tables(), seeds, st.integers(2, 10))
def test_at_temperature_zero_the_first_draw_is_the_greedy_key(table, seed, rounds):
    model, inputs, trie = random_model(table, seed), random_inputs(3, seed), CsrTrie.from_table(table)
    greedy = beam_search(model, inputs, trie, width=1, normalise="children")
    result = draw(model, inputs, trie, [0.0] * rounds)
    assert result.keys[:, :1].equal(greedy.keys)


RAGGED = DocidTable.from_keys(
    [[0], [1, 0], [1, 1, 0], [1, 1, 2], [2, 3], [2, 0, 1]],
    range(6),
    list("abcdef"),
    level_sizes=(4, 4, 4),
)
DRAWS = 20_000


def repeated(inputs, times):
    return {name: value.repeat_interleave(times, dim=0) for name, value in inputs.items()}


def law(model, inputs, trie):
    """Chance of each key by row of the table: softmax over the legal children, step by step."""
    exact = best_keys(score_nodes(model, inputs, trie, normalise="children"), trie, len(trie.leaves))
    return torch.zeros(len(trie.leaves)).scatter(0, exact.keys[0], exact.scores[0].exp())


@pytest.mark.parametrize("seed", [0, 1])
def test_one_draw_at_temperature_one_has_the_constrained_law_of_the_model(seed):
    model, one, trie = random_model(RAGGED, seed), random_inputs(1, seed), CsrTrie.from_table(RAGGED)
    chance = law(model, one, trie)
    assert float(chance.sum()) == pytest.approx(1, abs=1e-5)
    drawn = draw(model, repeated(one, DRAWS), trie, [1.0], seed).keys[:, 0]
    share = torch.bincount(drawn, minlength=len(RAGGED)) / DRAWS
    error = (chance * (1 - chance) / DRAWS).sqrt()
    assert ((share - chance).abs() <= 4 * error).all()


def test_the_second_draw_has_the_law_of_what_the_first_left():
    model, one, trie = random_model(RAGGED, 3), random_inputs(1, 3), CsrTrie.from_table(RAGGED)
    first, second = draw(model, repeated(one, DRAWS), trie, [1.0, 1.0], 3).keys.T
    taken = int(torch.bincount(first).argmax())
    rest = [key for key in range(len(RAGGED)) if key != taken]
    left = DocidTable.from_keys(
        [RAGGED.key(key) for key in rest], range(5), list("vwxyz"), level_sizes=RAGGED.level_sizes
    )
    chance = law(model, one, CsrTrie.from_table(left))
    drawn = second[first == taken]
    share = torch.bincount(drawn, minlength=len(RAGGED))[rest] / len(drawn)
    assert ((share - chance).abs() <= 4 * (chance * (1 - chance) / len(drawn)).sqrt()).all()


@settings(max_examples=30)
@given(tables(), seeds, st.integers(1, 8))
def test_the_same_seed_draws_the_same_and_with_the_same_noise_company_does_not_matter(table, seed, rounds):
    model, inputs, trie = random_model(table, seed), random_inputs(4, seed), CsrTrie.from_table(table)
    for alike in (True, False):
        one, two = (draw(model, inputs, trie, [1.0] * rounds, seed, alike=alike) for _ in range(2))
        assert one.keys.equal(two.keys)
    together = draw(model, inputs, trie, [0.0, *[1.0] * rounds], seed, alike=True)
    for query in range(4):
        single = {name: value[query : query + 1] for name, value in inputs.items()}
        alone = draw(model, single, trie, [0.0, *[1.0] * rounds], seed, alike=True)
        assert alone.keys[0].equal(together.keys[query])


def test_temperatures_rise_from_zero_as_the_formula_says():
    found = rising_temperatures(100)
    assert found[0] == 0
    assert all(one < other for one, other in pairwise(found))
    assert found[-1] < 1.5

    def g(x):
        s = [1 / (1 + math.exp(-z)) for z in (10 * (x - 0.1), -1, 9)]
        return (s[0] - s[1]) / (s[2] - s[1])

    assert found[37] == pytest.approx(1.5 * g(0.37))


def test_a_negative_temperature_is_refused():
    model, trie = random_model(RAGGED, 0), CsrTrie.from_table(RAGGED)
    with pytest.raises(ValueError, match="negative"):
        draw(model, random_inputs(1, 0), trie, [1.0, -0.5])
