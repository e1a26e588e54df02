"""A trie enters the compiled core only if no token and no edge leads out of its arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.constraints import CsrTrie
from retrograd.native import NativeTrie
from tests.catalogues import tables


def arrays_of(table):
    """The arguments of a sound `NativeTrie`."""
    trie = CsrTrie.from_table(table)
    arrays = (trie.first_edge, trie.token, trie.key_of_node)
    return [array.numpy().copy() for array in arrays] + [trie.level_start]


@given(tables())
def test_every_trie_of_a_table_is_sound(table):
    made = NativeTrie(*arrays_of(table))
    assert made.num_keys == len(table)
    padded = table.padded
    assert made.largest_tokens == tuple(max(column.max(), 0) for column in padded.T)


@given(tables(), st.data())
def test_an_edge_or_a_level_out_of_place_is_refused(table, data):
    first_edge, token, key_of_node, level_start = arrays_of(table)
    if data.draw(st.booleans()):
        first_edge[data.draw(st.integers(0, len(first_edge) - 1))] += data.draw(st.sampled_from([-1, 1, 99]))
        # an edge handed to the next node of the same depth makes another sound trie
        starts = set(level_start)
        moved = np.flatnonzero(first_edge != arrays_of(table)[0])
        if not starts & set(moved.tolist()) and (np.diff(first_edge) >= 0).all():
            return
    else:
        at = data.draw(st.integers(0, len(level_start) - 1))
        level_start = (*level_start[:at], level_start[at] + 1, *level_start[at + 1 :])
    with pytest.raises(ValueError, match="breadth first"):
        NativeTrie(first_edge, token, key_of_node, level_start)


@given(tables())
def test_arrays_of_another_type_or_length_are_refused(table):
    first_edge, token, key_of_node, level_start = arrays_of(table)
    with pytest.raises(ValueError, match="token has shape"):
        NativeTrie(first_edge, token[1:], key_of_node, level_start)
    with pytest.raises(ValueError, match="first_edge has shape"):
        NativeTrie(first_edge[1:], token, key_of_node, level_start)
    with pytest.raises(TypeError, match="first_edge"):
        NativeTrie(first_edge.astype(np.int64), token, key_of_node, level_start)
    with pytest.raises(TypeError, match="token"):
        NativeTrie(first_edge, token.astype(np.float32), key_of_node, level_start)
    with pytest.raises(ValueError, match="live has shape"):
        NativeTrie(first_edge, token, key_of_node, level_start, np.ones(1 + len(token), bool))
    with pytest.raises(ValueError, match="breadth first"):
        NativeTrie(first_edge, token.astype(np.int32) - 9, key_of_node, level_start)


@given(tables(), st.data())
def test_children_whose_tokens_do_not_ascend_are_refused(table, data):
    first_edge, token, key_of_node, level_start = arrays_of(table)
    parents = [node for node in range(len(token)) if first_edge[node + 1] - first_edge[node] > 1]
    if parents:
        child = first_edge[data.draw(st.sampled_from(parents))] + 2
        token[child] = token[child - 1]
        with pytest.raises(ValueError, match="do not ascend"):
            NativeTrie(first_edge, token, key_of_node, level_start)
