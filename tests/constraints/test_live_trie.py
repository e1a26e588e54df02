"""Keys that come and go: after any sequence of changes the trie is the one built anew from what is there."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.constraints import CsrTrie, LiveTrie
from retrograd.errors import InputError

SIZES = (3, 4, 3)
NEVER = {"worn_at_least": 10**9}
ALWAYS = {"worn_at_least": 0, "worn": 0.0}


def padded(keys):
    """(n, L) int64 of tuples."""
    out = np.full((len(keys), len(SIZES)), -1, np.int64)
    for row, key in enumerate(keys):
        out[row, : len(key)] = key
    return out


def clashes(key, others):
    """Whether a key is there, is a prefix of one that is, or has one as prefix."""
    return any(key[: len(other)] == other or other[: len(key)] == key for other in others)


any_key = st.tuples(*(st.integers(0, size - 1) for size in SIZES)).flatmap(
    lambda key: st.integers(1, len(SIZES)).map(lambda length: key[:length])
)


@st.composite
def histories(draw):
    """First keys, then steps of (keys that leave, keys that join, whether the parts may become one)."""
    there = [draw(any_key)]
    for key in draw(st.lists(any_key, max_size=12)):
        if not clashes(key, there):
            there.append(key)
    first, steps = list(there), []
    for _ in range(draw(st.integers(1, 5))):
        gone = sorted(draw(st.sets(st.sampled_from(there)))) if there else []
        there = [key for key in there if key not in gone]
        joined = []
        for key in draw(st.lists(any_key, max_size=6)):
            if not clashes(key, there):
                there.append(key)
                joined.append(key)
        steps.append((gone, joined, draw(st.sampled_from([NEVER, ALWAYS]))))
    return first, steps


def replayed(history):
    """The live trie and what is in it, key -> number, after each step."""
    first, steps = history
    numbers = {key: number for number, key in enumerate(first)}
    trie, following = LiveTrie.of(padded(first), np.arange(len(first)), SIZES), len(first)
    yield trie, dict(numbers)
    for gone, joined, worn in steps:
        for key in gone:
            del numbers[key]
        numbers |= {key: following + at for at, key in enumerate(joined)}
        new = np.arange(following, following + len(joined))
        following += len(joined)
        trie = trie.changed(joined=padded(joined), numbers=new, gone=padded(gone), **worn)
        yield trie, dict(numbers)


def spelt(constraint):
    """Every key that walking all children spells, with its number, in the order of the walk."""
    state, paths, found = constraint.start(1), [()], {}
    while paths:
        names = constraint.key(state).tolist()
        assert constraint.is_end(state).tolist() == [name >= 0 for name in names]
        found |= {path: name for path, name in zip(paths, names, strict=True) if name >= 0}
        children = constraint.children(state)
        pairs = list(zip(children.row.tolist(), children.token.tolist(), strict=True))
        assert pairs == sorted(set(pairs))
        paths, state = [(*paths[row], token) for row, token in pairs], children.state
    return found


@settings(max_examples=100)
@given(histories())
def test_after_any_changes_it_spells_what_is_there_and_no_dead_end(history):
    for trie, numbers in replayed(history):
        assert spelt(trie) == numbers
        if not numbers:
            continue
        fresh = CsrTrie.from_keys(padded(sorted(numbers)), SIZES)
        live = [trie.start(1), fresh.start(1)]
        while len(live[1]):  # level by level as many nodes: none that leads nowhere
            live = [part.children(state).state for part, state in zip((trie, fresh), live, strict=True)]
            assert len(live[0]) == len(live[1])


@settings(max_examples=40)
@given(histories())
def test_an_earlier_trie_is_not_disturbed_by_what_comes_after_it(history):
    values = list(replayed(history))
    for trie, numbers in values:
        assert spelt(trie) == numbers


@settings(max_examples=40)
@given(histories())
def test_nodes_know_their_parents_and_keys_their_nodes(history):
    for trie, numbers in replayed(history):
        state = trie.start(1)
        while len(state):
            children = trie.children(state)
            assert torch.equal(trie.parent[children.state], state[children.row])
            assert max(children.state.tolist(), default=0) < trie.num_nodes
            state = children.state
        for number in numbers.values():
            assert trie.key(trie.node_of_key[[number]]).tolist() == [number]


@settings(max_examples=40)
@given(histories())
def test_one_large_trie_of_both_parts_spells_the_same(history):
    *_, (trie, numbers) = replayed(history)
    merged = trie.merged()
    assert spelt(merged) == numbers
    if numbers:
        assert merged.graft is None
        assert merged.live is None
        everything = np.concatenate([merged.base.keys(), merged.joined])
        assert {tuple(t for t in key if t >= 0) for key in everything.tolist()} == set(numbers)


@settings(max_examples=40)
@given(histories(), any_key)
def test_a_key_that_clashes_with_one_that_is_there_is_refused_and_one_that_is_not_cannot_leave(history, key):
    *_, (trie, numbers) = replayed(history)
    if clashes(key, numbers):
        with pytest.raises(InputError, match="to join"):
            trie.changed(joined=padded([key]), numbers=np.array([99]))
    else:
        assert spelt(trie.changed(joined=padded([key]), numbers=np.array([99]))) == numbers | {key: 99}
    if key not in numbers:
        with pytest.raises(InputError, match="to leave"):
            trie.changed(gone=padded([key]))


def test_it_becomes_one_large_trie_when_enough_has_changed():
    draw = np.unique(np.random.default_rng(0).integers(0, 30, (900, 3)), axis=0)
    start = LiveTrie.of(draw[::2], np.arange(len(draw[::2])), (30, 30, 30))
    more = draw[1::2][:40]
    few = start.changed(joined=more, numbers=np.arange(1000, 1040), worn=0.1, worn_at_least=40)
    assert few.graft is not None
    assert few.base is start.base
    many = few.changed(gone=draw[::2][:10], worn=0.1, worn_at_least=40)
    assert many.graft is None
    assert many.base is not start.base


def test_a_joining_token_may_be_larger_than_any_before():
    trie = LiveTrie.of(np.array([[0], [1]]), np.array([0, 1]), (2,))
    grown = trie.changed(joined=np.array([[700]]), numbers=np.array([2]), level_sizes=(701,), **NEVER)
    assert spelt(grown) == {(0,): 0, (1,): 1, (700,): 2}
    assert grown.allowed(grown.start(1)).shape == (1, 701)
