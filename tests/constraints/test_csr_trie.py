"""The flat trie: numbering, size, and catalogues that do not fit one machine word."""

import numpy as np
import torch
from hypothesis import given

from retrograd.constraints import CsrTrie
from retrograd.docid_table import DocidTable
from tests.catalogues import tables


def prefixes(table):
    keys = map(table.key, range(len(table)))
    return {key[:length] for key in keys for length in range(len(key) + 1)}


@given(tables())
def test_there_is_one_node_per_prefix_and_its_parent_is_one_token_shorter(table):
    trie = CsrTrie.from_table(table)
    path = {0: ()}
    for node in range(1, trie.num_nodes):
        path[node] = (*path[int(trie.parent[node])], int(trie.token[node]))
    assert set(path.values()) == prefixes(table)
    for depth, (first, after) in enumerate(zip(trie.level_start, trie.level_start[1:], strict=False)):
        level = [path[node] for node in range(first, after)]
        assert level == sorted(level)
        assert {len(prefix) for prefix in level} <= {depth}


@given(tables())
def test_leaves_lead_to_their_keys_and_back_in_the_order_of_the_keys(table):
    trie = CsrTrie.from_table(table)
    assert torch.equal(trie.key(trie.node_of_key), torch.arange(len(table)))
    named = [table.key(key) for key in trie.key(trie.leaves.long()).tolist()]
    assert named == sorted(named)


def test_a_row_order_that_is_not_sorted_is_kept_as_key_numbers():
    table = DocidTable(
        tokens=np.array([1, 0, 0, 1], np.int32),
        offsets=np.array([0, 2, 4]),
        pairs=np.array([[0, 0], [1, 1]]),
        document_ids=("a", "b"),
        level_sizes=(2, 2),
    )
    trie = CsrTrie.from_table(table)
    assert trie.key(
        trie.advance(trie.advance(trie.start(1), torch.tensor([0])), torch.tensor([1]))
    ).tolist() == [1]


def test_long_keys_of_a_large_vocabulary_need_more_than_a_machine_word():
    keys = np.random.default_rng(0).integers(0, 5000, (300, 8))
    table = DocidTable.from_keys(
        keys, range(300), [str(row) for row in range(300)], level_sizes=(5000,) * 8, shared_vocabulary=True
    )
    trie = CsrTrie.from_table(table)
    assert trie.token.dtype == torch.int32
    assert sorted(trie.key(trie.leaves.long()).tolist()) == list(range(len(table)))


def test_codes_of_a_byte_take_a_byte():
    codes = np.unique(np.random.default_rng(0).integers(0, 256, (20_000, 4)), axis=0)
    table = DocidTable.from_keys(
        codes, range(len(codes)), [str(i) for i in range(len(codes))], level_sizes=(256,) * 4
    )
    trie = CsrTrie.from_table(table)
    assert trie.token.dtype == torch.uint8
    assert trie.num_bytes < 14 * trie.num_nodes
