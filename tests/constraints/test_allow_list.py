"""Permission filters: what must not be answered is out of reach from the first token on."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.constraints import AllowList, CsrTrie, LiveTrie, trie_of
from tests.catalogues import tables


@given(tables())
def test_allowing_every_document_changes_nothing(table):
    trie = CsrTrie.from_table(table)
    everything = AllowList.from_documents(trie, table, range(len(table.document_ids)))
    assert bool(everything.live.all())


@given(tables())
def test_allowing_no_document_leaves_no_first_token(table):
    nothing = AllowList.from_documents(CsrTrie.from_table(table), table, [])
    assert not len(nothing.children(nothing.start(3)).row)
    assert not nothing.is_end(torch.arange(nothing.trie.num_nodes)).any()


@given(tables(), st.data())
def test_a_node_is_live_exactly_if_a_key_of_an_allowed_document_is_below_it(table, data):
    trie = CsrTrie.from_table(table)
    some = data.draw(st.lists(st.integers(0, len(table.document_ids) - 1), max_size=6))  # or twice the same
    allowed = AllowList.from_documents(trie, table, some)
    prefixes = {table.key(key)[:length] for key, document in table.pairs.tolist() if document in some
                for length in range(9)}  # fmt: skip
    path = {0: ()}
    for node in range(1, trie.num_nodes):
        path[node] = (*path[int(trie.parent[node])], int(trie.token[node]))
    assert {path[node] for node in allowed.live.nonzero().flatten().tolist()} == prefixes


def test_only_one_trie_has_the_nodes_that_some_searches_count():
    live = LiveTrie.of(np.array([[0], [1]]), np.array([0, 1]), (2,))
    allowed = torch.ones(live.num_nodes, dtype=torch.bool)
    assert trie_of(AllowList(live.base, allowed)) is live.base
    with pytest.raises(TypeError, match="merged"):
        trie_of(AllowList(live, allowed))
