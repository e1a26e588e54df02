"""The docid table: a relation between prefix-free keys and documents."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from retrograd.docid_table import DocidTable
from retrograd.errors import InputError

keys_of_any_length = st.lists(st.integers(0, 3), min_size=1, max_size=4).map(tuple)
key_lists = st.lists(keys_of_any_length, min_size=1, max_size=12)


def clashes(one, two):
    return one != two and two[: len(one)] == one


def build(keys, **options):
    ids = [f"d{row}" for row in range(len(keys))]
    return DocidTable.from_keys(keys, range(len(keys)), ids, level_sizes=(4,) * 4, **options)


@given(key_lists)
def test_a_table_is_refused_exactly_when_one_key_is_a_prefix_of_another(keys):
    if any(clashes(one, two) for one in keys for two in keys):
        with pytest.raises(InputError, match="is a prefix of"):
            build(keys)
    else:
        build(keys)


@given(key_lists)
def test_every_document_finds_its_key_and_every_key_its_documents_in_row_order(keys):
    assume(not any(clashes(one, two) for one in keys for two in keys))
    table = build(keys)
    assert len(table) == len(set(keys))
    for row, key in enumerate(keys):
        (found,) = table.keys_of(row)
        assert table.key(found) == key
        assert tuple(token for token in table.padded[found] if token >= 0) == key
        assert table.documents_of(found).tolist() == [at for at, other in enumerate(keys) if other == key]


@given(key_lists)
def test_padding_changes_nothing(keys):
    assume(not any(clashes(one, two) for one in keys for two in keys))
    padded = np.array([[*key, *[-1] * (4 - len(key))] for key in keys])
    one, two = build(keys), build(padded)
    for name in ("tokens", "offsets", "pairs"):
        assert np.array_equal(getattr(one, name), getattr(two, name))


def test_a_document_may_have_several_keys_or_none():
    table = DocidTable.from_keys([[0], [1], [1]], [0, 0, 2], "abc", level_sizes=(2,))
    assert [table.keys_of(row).tolist() for row in range(3)] == [[0, 1], [], [1]]


def test_equal_rows_are_refused_where_keys_are_given_as_arrays():
    with pytest.raises(InputError, match=r"key 0 \(1,\) equals key 1 \(1,\)"):
        DocidTable(
            np.array([1, 1], np.int32), np.array([0, 1, 2]), np.array([[0, 0], [1, 1]]), ("a", "b"), (2,)
        )


@pytest.mark.parametrize(
    ("keys", "documents", "options", "reason"),
    [
        ([[2]], [0], {"level_sizes": (2,)}, "leaves its vocabulary"),
        ([[]], [0], {"level_sizes": (2,)}, "at least one token"),
        ([], [], {"level_sizes": (2,)}, "at least one key"),
        ([[0, 0]], [0], {"level_sizes": (2,)}, "2 tokens but there are 1 levels"),
        ([[0]], [1], {"level_sizes": (2,)}, "points outside"),
        ([[0]], [0], {"level_sizes": (2, 3), "shared_vocabulary": True}, "one size"),
    ],
)
def test_a_broken_table_says_what_is_wrong(keys, documents, options, reason):
    with pytest.raises(InputError, match=reason):
        DocidTable.from_keys(keys, documents, ["a"], **options)


def test_codes_are_described_by_numbers_and_words_by_their_spelling():
    assert build([(3, 1)]).describe([3, 1]) == "3-1"
    words = {"shared_vocabulary": True, "token_names": ["▁red", "der", "▁fox", ""]}
    assert build([(0, 1, 2, 3)], **words).describe([0, 1, 2, 3]) == "redder fox"
