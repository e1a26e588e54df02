"""Agreement of rankings: its bounds, its extremes, and what rounding weights does to a real beam."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.constraints import CsrTrie
from retrograd.docid_table import DocidTable
from retrograd.native import find
from retrograd.search.agreement import agreement, agreement_of_precision, kendall_tau
from retrograd.search.beam import BeamResult
from tests.catalogues import random_inputs, random_model

rankings = st.lists(st.permutations(range(8)), min_size=1, max_size=4)


def result(keys):
    """A beam that answered these keys; each has a score of its own, -1 stands for no answer."""
    keys = torch.tensor(keys)
    scores = torch.where(keys < 0, -torch.inf, -keys.float())
    return BeamResult(keys, scores, keys.unsqueeze(2), scores.unsqueeze(2))


@given(rankings, st.integers(1, 9))
def test_a_ranking_agrees_with_itself_and_with_its_reverse_not_at_all(keys, k):
    same = agreement(result(keys), result(keys), k)
    assert (same.overlap, same.kendall, same.same, same.score_error) == (1, 1, 1, 0)
    turned = agreement(result([row[::-1] for row in keys]), result(keys), 8)
    assert (turned.overlap, turned.kendall, turned.same) == (1, -1, 0)


@given(st.permutations(range(7)))
def test_each_swap_of_neighbours_costs_two_pairs(order):
    swaps, order = 0, list(order)
    given_order = list(order)
    for end in range(len(order), 0, -1):  # bubble sort counts the pairs that are out of order
        for at in range(end - 1):
            if order[at] > order[at + 1]:
                order[at], order[at + 1], swaps = order[at + 1], order[at], swaps + 1
    assert kendall_tau(given_order) == pytest.approx(1 - 2 * swaps / 21)


def test_missing_answers_are_no_keys_and_two_empty_rankings_agree():
    found = agreement(result([[1, 2, -1], [-1, -1, -1]]), result([[1, 2, 3], [-1, -1, -1]]), 3)
    assert found.overlap == pytest.approx((2 / 3 + 1) / 2)
    assert found.same == 0.5
    assert agreement(result([[-1]]), result([[4]]), 3).overlap == 0


def test_the_score_error_is_the_largest_over_common_keys():
    one, other = result([[0, 1, 2]]), result([[0, 1, 5]])
    one.scores[0, 1] -= 0.25
    assert agreement(one, other).score_error == pytest.approx(0.25)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="k=0"):
        agreement(result([[0]]), result([[0]]), 0)
    with pytest.raises(ValueError, match="2 queries"):
        agreement(result([[0]]), result([[0], [1]]))


@pytest.mark.skipif(isinstance(find(), str), reason=f"no compiled core: {find()}")
def test_full_precision_agrees_fully_and_fewer_bits_move_scores_a_little():
    keys = [[one, two] for one in range(4) for two in range(4)]
    table = DocidTable.from_keys(keys, range(16), [str(row) for row in range(16)], level_sizes=(4, 4))
    model, inputs, trie = random_model(table, 0), random_inputs(6, 0), CsrTrie.from_table(table)
    errors = []
    for precision in ("fp32", "bf16", "int8"):
        found = agreement_of_precision(model, inputs, trie, precision, width=16, k=16)
        assert found.overlap == 1  # every key is answered
        errors.append(found.score_error)
    assert errors[0] == 0
    assert 0 < errors[1] < 0.2
    assert 0 < errors[2] < 0.5
