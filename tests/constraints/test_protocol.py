"""What every constraint keeps, whichever it is."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.constraints import AllowList, CsrTrie, Intersection, TokenSet
from tests.catalogues import CODES, DEPTH, tables


def trie(table, _):
    return CsrTrie.from_table(table), set(map(table.key, range(len(table))))


def allow_list(table, seed):
    whole, _ = trie(table, seed)
    documents = np.random.default_rng(seed).permutation(len(table.document_ids))[: seed % 5]
    keys = {table.key(key) for key, document in table.pairs.tolist() if document in documents}
    return AllowList.from_documents(whole, table, documents), keys


def token_set(table, seed):
    levels = [np.random.default_rng([seed, level]).integers(0, CODES, 2) for level in range(2)]
    one, two = (set(level.tolist()) for level in levels)
    return TokenSet.of(levels), {(first, second) for first in one for second in two}


def intersection(table, seed):
    whole, keys = trie(table, seed)
    even = TokenSet.of([np.arange(0, CODES, 2)] * DEPTH, any_length=True)
    return Intersection(whole, even), {key for key in keys if all(token % 2 == 0 for token in key)}


def nested(table, seed):
    inner, keys = intersection(table, seed)
    allowed, kept = allow_list(table, seed)
    return Intersection(allowed, inner), keys & kept


CONSTRAINTS = (trie, allow_list, token_set, intersection, nested)


@pytest.mark.parametrize("make", CONSTRAINTS)
@given(table=tables(), seed=st.integers(0, 99))
def test_walking_all_children_spells_exactly_the_legal_keys(make, table, seed):
    constraint, keys = make(table, seed)
    state, paths, spelt = constraint.start(1), [()], set()
    for _ in range(DEPTH + 1):
        spelt |= {path for path, end in zip(paths, constraint.is_end(state).tolist(), strict=True) if end}
        children = constraint.children(state)
        paths = [
            (*paths[row], token)
            for row, token in zip(children.row.tolist(), children.token.tolist(), strict=True)
        ]
        state = children.state
    assert spelt == keys
    assert not paths


@pytest.mark.parametrize("make", CONSTRAINTS)
@given(table=tables(), seed=st.integers(0, 99))
def test_mask_children_and_advance_agree(make, table, seed):
    constraint, _ = make(table, seed)
    state = constraint.start(2)
    children = constraint.children(state)
    order = list(zip(children.row.tolist(), children.token.tolist(), strict=True))
    assert order == sorted(set(order))
    assert constraint.allowed(state).nonzero().tolist() == [list(pair) for pair in order]
    for row, token in order:
        after = constraint.advance(state[row : row + 1], torch.tensor([token]))
        expected = children.state[order.index((row, token))]
        assert torch.equal(after[0], expected)


@pytest.mark.parametrize("make", CONSTRAINTS)
@given(table=tables(), seed=st.integers(0, 99))
def test_an_illegal_token_is_named(make, table, seed):
    constraint, _ = make(table, seed)
    with pytest.raises(ValueError, match="row 0: token 77 may not follow"):
        constraint.advance(constraint.start(1), torch.tensor([77]))


@pytest.mark.parametrize("make", CONSTRAINTS)
@given(table=tables(), seed=st.integers(0, 99))
def test_an_end_names_its_key_or_none_and_an_inner_prefix_never_does(make, table, seed):
    constraint, _ = make(table, seed)
    state, paths = constraint.start(1), [()]
    while paths:
        for path, end, key in zip(
            paths, constraint.is_end(state).tolist(), constraint.key(state).tolist(), strict=True
        ):
            named = make is not token_set
            if end and named:
                assert table.key(key) == path
            elif not named:
                assert key == -1
        children = constraint.children(state)
        rows = zip(children.row.tolist(), children.token.tolist(), strict=True)
        paths, state = [(*paths[row], token) for row, token in rows], children.state
