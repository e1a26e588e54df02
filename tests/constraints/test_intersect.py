"""Intersections: order of the sides, and prefixes with no common completion."""

import torch
from hypothesis import given

from retrograd.constraints import CsrTrie, Intersection, TokenSet
from tests.catalogues import CODES, DEPTH, tables

EVERYTHING = TokenSet.of([range(CODES)] * DEPTH, any_length=True)


@given(tables())
def test_a_set_of_all_tokens_changes_nothing_on_either_side(table):
    trie = CsrTrie.from_table(table)
    for both in (Intersection(trie, EVERYTHING), Intersection(EVERYTHING, trie)):
        alone, together = trie.children(trie.start(2)), both.children(both.start(2))
        assert torch.equal(alone.row, together.row)
        assert torch.equal(alone.token, together.token)
        assert torch.equal(trie.key(alone.state), both.key(together.state))


@given(tables())
def test_disjoint_sides_leave_nothing(table):
    trie = CsrTrie.from_table(table)
    other = TokenSet.of([[CODES + 1]])
    both = Intersection(trie, other)
    assert not len(both.children(both.start(1)).row)
