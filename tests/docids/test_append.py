"""Appending: old rows stay, shared keys gain owners, levels grow as needed."""

import numpy as np
import pytest

from retrograd.docid_table import DocidTable
from retrograd.docids.append import append_keys, sizes_for
from retrograd.errors import InputError

TABLE = DocidTable.from_keys([[0, 1], [1, 0]], [0, 1], "ab", level_sizes=(2, 2), state={"kept": np.arange(3)})


def test_a_longer_key_adds_a_level():
    longer = append_keys(TABLE, [[2, 5, 1]], ["c"])
    assert longer.level_sizes == (3, 6, 2)
    assert longer.state is TABLE.state


def test_a_shared_key_gains_an_owner_behind_the_old_one():
    longer = append_keys(TABLE, np.array([[0, -1, 1], [0, 1, -1]]), ["c", "d"])
    assert len(longer) == len(TABLE)
    assert longer.documents_of(0).tolist() == [0, 2, 3]


def test_a_shared_vocabulary_grows_at_every_depth():
    shared = DocidTable.from_keys([[0, 1]], [0], "a", level_sizes=(2, 2), shared_vocabulary=True)
    assert append_keys(shared, [[6, 1]], ["b"]).level_sizes == (7, 7)


def test_a_prefix_of_an_old_key_is_refused():
    with pytest.raises(InputError, match="is a prefix of"):
        append_keys(TABLE, [[1]], ["c"])


def test_a_state_given_replaces_the_old_one():
    assert append_keys(TABLE, [[2]], ["c"], state={}).state == {}


def test_no_keys_leave_the_sizes_asked_for():
    assert sizes_for([], at_least=(3, 2)) == (3, 2)
    assert sizes_for([]) == ()
