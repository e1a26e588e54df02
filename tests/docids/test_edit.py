"""Rows out, rows in: what stays keeps its keys, what is freed is gone, and nobody becomes a prefix."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.docid_table import DocidTable
from retrograd.docids.edit import edited
from retrograd.errors import InputError
from tests.catalogues import CODES, DEPTH, tables


def keys_by_document(table: DocidTable) -> dict[str, set[tuple[int, ...]]]:
    return {
        id: {table.key(int(key)) for key in table.keys_of(row)} for row, id in enumerate(table.document_ids)
    }


@given(tables(), st.data())
def test_what_stays_keeps_its_keys_and_what_joins_gets_its_own(table, data):
    count = len(table.document_ids)
    stays = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    used = [table.key(row) for row in range(len(table))]
    joined = data.draw(st.lists(st.sampled_from(used), max_size=4))
    ids = [id for id, kept in zip(table.document_ids, stays, strict=True) if kept]
    rows = np.where(stays, np.cumsum(stays) - 1, -1)
    names = [*ids, *(f"new{at}" for at in range(len(joined)))]
    places = np.arange(len(ids), len(names))
    wanted = {id: keys for id, keys in keys_by_document(table).items() if id in ids}
    wanted |= {f"new{at}": {key} for at, key in enumerate(joined)}
    if not any(wanted.values()):
        with pytest.raises(InputError, match="at least one key"):
            edited(table, rows, names, joined=places, keys=[[key] for key in joined])
        return
    after = edited(table, rows, names, joined=places, keys=[[key] for key in joined])
    assert keys_by_document(after) == wanted
    assert len(np.unique(after.pairs[:, 0])) == len(after), "no key without a document"
    assert after.pairs.tolist() == sorted(after.pairs.tolist())


def test_rows_may_be_given_back_between_those_that_stayed():
    table = DocidTable.from_keys([[0], [1]], [0, 1], ["a", "c"], level_sizes=(3,))
    after = edited(
        table, np.array([0, 2]), ["a", "b", "c"], joined=np.array([1]), keys=[[(2,)]], level_sizes=(5,)
    )
    assert keys_by_document(after) == {"a": {(0,)}, "b": {(2,)}, "c": {(1,)}}
    assert after.level_sizes == (5,)


def test_a_key_that_would_be_a_prefix_is_refused():
    table = DocidTable.from_keys([[0, 1]], [0], ["a"], level_sizes=(CODES,) * DEPTH)
    with pytest.raises(InputError, match="is a prefix of"):
        edited(table, np.array([0]), ["a", "b"], joined=np.array([1]), keys=[[(0,)]])
