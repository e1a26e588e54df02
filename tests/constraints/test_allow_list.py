"""Permission filters: what must not be answered is out of reach from the first token on."""

import torch
from hypothesis import given

from retrograd.constraints import AllowList, CsrTrie
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
