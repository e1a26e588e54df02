"""The beam: exact at full width, never illegal, the same alone as in company."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from retrograd.constraints import AllowList, Children, CsrTrie, Intersection, TokenSet
from retrograd.docid_table import DocidTable
from retrograd.search import beam
from retrograd.search.beam import NORMALISE, beam_search, child_scores, first_best
from tests.catalogues import CODES, DEPTH, random_inputs, random_model, tables, teacher_forced

seeds = st.integers(0, 999)
normalisations = st.sampled_from(NORMALISE)


def found(result, query):
    """Keys and scores of one query, padding cut off."""
    real = result.keys[query] >= 0
    return result.keys[query][real].tolist(), result.scores[query][real].numpy()


@given(tables(), seeds, normalisations, st.booleans(), st.sampled_from([3, 40]))
def test_at_the_width_of_the_catalogue_it_equals_brute_force(table, seed, normalise, tied, slots):
    model, inputs = random_model(table, seed, tied=tied), random_inputs(3, seed, slots)
    result = beam_search(model, inputs, CsrTrie.from_table(table), width=len(table), normalise=normalise)
    expected = teacher_forced(model, inputs, table, normalise)
    for query in range(3):
        keys, scores = found(result, query)
        assert sorted(keys) == list(range(len(table)))
        np.testing.assert_allclose(scores, expected[query][keys], atol=1e-4)
        assert (np.diff(scores) <= 0).all()


@given(tables(), seeds, st.integers(1, 5), normalisations)
def test_whatever_the_width_answers_are_distinct_legal_keys_whose_steps_sum_to_their_score(
    table, seed, width, normalise
):
    model, inputs = random_model(table, seed), random_inputs(4, seed)
    result = beam_search(model, inputs, CsrTrie.from_table(table), width=width, normalise=normalise)
    expected = teacher_forced(model, inputs, table, normalise)
    for query in range(4):
        keys, scores = found(result, query)
        assert len(set(keys)) == len(keys) <= width
        assert keys  # a prefix of a trie always has a completion
        for column, key in enumerate(keys):
            path = [token for token in result.paths[query, column].tolist() if token >= 0]
            assert tuple(path) == table.key(key)
            assert float(result.steps[query, column].sum()) == pytest.approx(scores[column], abs=1e-4)
            assert scores[column] == pytest.approx(expected[query, key], abs=1e-4)
    answered = result.keys >= 0
    assert (result.scores > -torch.inf).equal(answered)
    assert (result.paths[~answered] == -1).all()


@given(tables(), seeds, st.integers(1, 6), normalisations)
def test_queries_in_company_get_what_they_get_alone(table, seed, width, normalise):
    model, inputs = random_model(table, seed), random_inputs(4, seed)
    trie = CsrTrie.from_table(table)
    together = beam_search(model, inputs, trie, width=width, normalise=normalise)
    for query in range(4):
        one = {name: value[query : query + 1] for name, value in inputs.items()}
        alone = beam_search(model, one, trie, width=width, normalise=normalise)
        assert found(alone, 0)[0] == found(together, query)[0]
        np.testing.assert_allclose(found(alone, 0)[1], found(together, query)[1], atol=1e-4)


@given(tables(), seeds, st.integers(1, 6), st.integers(1, 12), st.booleans())
def test_however_the_queries_are_split_into_blocks_the_result_is_the_same(
    table, seed, width, block_rows, any_length
):
    model, inputs, trie = random_model(table, seed), random_inputs(4, seed), CsrTrie.from_table(table)
    constraint = Intersection(trie, TokenSet.of([[0, 1]] * DEPTH, any_length=True)) if any_length else trie
    prior = None if any_length else torch.randn(4, trie.num_nodes)
    whole = beam_search(model, inputs, constraint, width=width, prior=prior)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beam, "BLOCK_ROWS", block_rows)
        split = beam_search(model, inputs, constraint, width=width, prior=prior)
    assert split.keys.equal(whole.keys)
    assert split.paths.equal(whole.paths)
    torch.testing.assert_close(split.scores, whole.scores, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(split.steps, whole.steps, atol=1e-5, rtol=1e-4)


@given(seeds, st.sampled_from([-1e4, -95.0, -70.0, 0.0, 70.0, 95.0, 1e4]))
def test_step_scores_stay_exact_wherever_the_logits_lie(seed, shift):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 5, generator=generator) + shift
    row, token = (
        column.flatten() for column in torch.meshgrid(torch.arange(3), torch.arange(5), indexing="ij")
    )
    scores = child_scores(logits, None, Children(row, token, token), "level")
    torch.testing.assert_close(
        scores.view(3, 5), logits.double().log_softmax(1).float(), atol=2e-3, rtol=1e-4
    )


@given(tables(), seeds, st.sets(st.integers(0, 13)))
def test_under_an_allow_list_it_equals_brute_force_over_the_allowed(table, seed, allowed):
    documents = sorted(document for document in allowed if document < len(table.document_ids))
    constraint = AllowList.from_documents(CsrTrie.from_table(table), table, documents)
    model, inputs = random_model(table, seed), random_inputs(2, seed)
    result = beam_search(model, inputs, constraint, width=len(table))
    expected = teacher_forced(model, inputs, table, "level")
    wanted = {int(key) for key, document in table.pairs if document in documents}
    for query in range(2):
        keys, scores = found(result, query)
        assert set(keys) == wanted
        np.testing.assert_allclose(scores, expected[query][keys], atol=1e-4)


@given(tables(), seeds, st.integers(1, 14))
def test_prefixes_that_run_dry_vanish(table, seed, width):
    constraint = Intersection(CsrTrie.from_table(table), TokenSet.of([[0, 1]] * DEPTH, any_length=True))
    result = beam_search(random_model(table, seed), random_inputs(2, seed), constraint, width=width)
    legal = {key for key in range(len(table)) if max(table.key(key)) <= 1}
    for query in range(2):
        keys, _ = found(result, query)
        assert set(keys) <= legal
        if width >= len(table):
            assert set(keys) == legal


@given(tables(), seeds)
def test_a_prior_of_the_best_score_below_makes_a_beam_of_one_exact(table, seed):
    trie = CsrTrie.from_table(table)
    model, inputs = random_model(table, seed), random_inputs(2, seed)
    expected = teacher_forced(model, inputs, table, "level")
    margins = np.sort(expected, axis=1)
    assume(len(table) == 1 or (margins[:, -1] - margins[:, -2] > 1e-3).all())
    prior = torch.full((2, trie.num_nodes), -torch.inf)
    carried = torch.full((2, trie.num_nodes), 0.0)
    exact = beam_search(model, inputs, trie, width=len(table))
    for query in range(2):
        for column, key in enumerate(exact.keys[query].tolist()):
            node, steps = int(trie.node_of_key[key]), exact.steps[query, column].tolist()
            for length in range(len(table.key(key)), 0, -1):
                carried[query, node] = sum(steps[:length])
                best = expected[query, key] - carried[query, node]
                prior[query, node] = max(prior[query, node], best)
                node = int(trie.parent[node])
    result = beam_search(model, inputs, trie, width=1, prior=prior)
    assert result.keys[:, 0].tolist() == expected.argmax(axis=1).tolist()
    np.testing.assert_allclose(result.scores[:, 0].numpy(), expected.max(axis=1), atol=1e-4)


@given(tables(), seeds, st.integers(1, 14))
def test_a_flat_prior_changes_nothing(table, seed, width):
    trie = CsrTrie.from_table(table)
    model, inputs = random_model(table, seed), random_inputs(2, seed)
    plain = beam_search(model, inputs, trie, width=width)
    flat = beam_search(model, inputs, trie, width=width, prior=torch.zeros(2, trie.num_nodes))
    assert torch.equal(plain.keys, flat.keys)
    assert torch.equal(plain.scores, flat.scores)


@settings(max_examples=30)
@given(tables(), seeds, st.integers(1, 14), st.sampled_from([0.0, 0.5, 1.0]), st.integers(1, 12))
def test_a_prior_asked_of_the_candidates_only_equals_one_of_every_state(
    table, seed, width, weight, block_rows
):
    trie = CsrTrie.from_table(table)
    model, inputs = random_model(table, seed), random_inputs(4, seed)
    values = torch.randn(4, trie.num_nodes, generator=torch.Generator().manual_seed(seed))
    asked = []

    def lazy(query, state):
        asked.append(len(query))
        return values[query, state]

    given_all = beam_search(model, inputs, trie, width=width, prior=values, decoder_weight=weight)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beam, "BLOCK_ROWS", block_rows)
        given_few = beam_search(model, inputs, trie, width=width, prior=lazy, decoder_weight=weight)
    assert given_few.keys.equal(given_all.keys)
    torch.testing.assert_close(given_few.scores, given_all.scores, atol=1e-5, rtol=1e-4)
    assert asked


@settings(max_examples=30)
@given(tables(), seeds, st.integers(1, 5))
def test_with_no_weight_on_the_decoder_the_prior_decides_and_scores_stay_the_decoders(table, seed, width):
    trie, inputs = CsrTrie.from_table(table), random_inputs(2, seed)
    values = torch.randn(2, trie.num_nodes, generator=torch.Generator().manual_seed(seed))
    one, other = random_model(table, seed), random_model(table, seed + 1)
    results = [
        beam_search(m, inputs, trie, width=width, prior=values, decoder_weight=0.0) for m in (one, other)
    ]
    expected = teacher_forced(one, inputs, table, "level")
    for query in range(2):
        keys, scores = found(results[0], query)
        assert set(keys) == set(found(results[1], query)[0])
        np.testing.assert_allclose(scores, expected[query][keys], atol=1e-4)


@settings(max_examples=30)
@given(tables(), seeds, st.integers(1, 4), st.integers(1, 14))
def test_keeping_more_at_the_last_level_only_adds_keys(table, seed, width, keep):
    model, inputs, trie = random_model(table, seed), random_inputs(2, seed), CsrTrie.from_table(table)
    few = beam_search(model, inputs, trie, width=width)
    more = beam_search(model, inputs, trie, width=width, keep=keep)
    for query in range(2):
        keys, scores = found(more, query)
        assert len(keys) <= max(width, keep)
        assert set(found(few, query)[0]) <= set(keys)
        assert (np.diff(scores) <= 0).all()


@given(tables(), st.integers(1, 14))
def test_equal_scores_come_in_the_order_of_the_keys(table, width):
    model = random_model(table, 0)
    with torch.no_grad():
        model.output.zero_()
    result = beam_search(model, random_inputs(2, 0), CsrTrie.from_table(table), width=width, normalise="none")
    paths = [table.key(key) for key in found(result, 1)[0]]
    if width >= len(table):
        assert paths == sorted(table.key(key) for key in range(len(table)))
    assert paths == sorted(paths)
    assert found(result, 0)[0] == found(result, 1)[0]


def test_a_catalogue_of_one_document_is_answered():
    table = DocidTable.from_keys([[2, 1]], [0], ["only"], level_sizes=(CODES, CODES))
    result = beam_search(random_model(table, 0), random_inputs(2, 0), CsrTrie.from_table(table), width=5)
    assert result.keys.tolist() == [[0], [0]]


@given(
    st.lists(
        st.lists(st.sampled_from([0.0, 1.0, 2.0, -torch.inf]), min_size=6, max_size=6), min_size=1, max_size=3
    ),
    st.integers(1, 6),
)
def test_of_equal_values_the_first_is_chosen(rows, count):
    chosen = first_best(torch.tensor(rows), count)
    for row, positions in zip(rows, chosen.tolist(), strict=True):
        ranked = sorted(range(6), key=lambda place: (-row[place], place))
        assert positions == sorted(ranked[:count])


def test_an_unknown_normalisation_and_a_beam_of_nothing_are_refused():
    table = DocidTable.from_keys([[0]], [0], ["a"], level_sizes=(1,))
    model, inputs, trie = random_model(table, 0), random_inputs(1, 0), CsrTrie.from_table(table)
    with pytest.raises(ValueError, match="level, children, none"):
        beam_search(model, inputs, trie, width=1, normalise="softmax")
    with pytest.raises(ValueError, match="width=0"):
        beam_search(model, inputs, trie, width=0)
