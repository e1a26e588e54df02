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


@given(key_lists, st.lists(st.integers(-1, 4), max_size=6).map(tuple))
def test_a_key_is_found_by_its_tokens_and_others_by_what_they_begin_with(keys, asked):
    assume(not any(clashes(one, two) for one in keys for two in keys))
    table = build(keys)
    every = [table.key(row) for row in range(len(table))]
    padded = np.array([[*key, *[-1] * (6 - len(key))] for key in [*every, asked]])
    assert table.find(padded).tolist() == [*range(len(every)), every.index(asked) if asked in every else -1]
    if -1 not in asked:
        below = [
            table.key(row) for row in table.find_below(np.array([asked, asked], np.int64).reshape(2, -1))
        ]
        assert below == sorted(key for key in every if key[: len(asked)] == asked)


@given(key_lists, key_lists, st.data())
def test_a_changed_table_is_refused_exactly_when_one_made_from_nothing_is(keys, more, data):
    assume(not any(clashes(one, two) for one in keys for two in keys))
    table = build(keys)
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=len(table), max_size=len(table))))
    pairs = table.pairs[kept[table.pairs[:, 0]]]
    stays = [table.key(row) for row in np.flatnonzero(kept)]
    count = len(keys)
    arguments = (
        kept,
        pairs,
        more,
        range(count, count + len(more)),
        [f"d{at}" for at in range(count + len(more))],
    )
    if any(clashes(one, two) for one in [*stays, *more] for two in [*stays, *more]):
        with pytest.raises(InputError, match="is a prefix of"):
            table.changed(*arguments, level_sizes=(4,) * 4, state={})
        return
    after = table.changed(*arguments, level_sizes=(4,) * 4, state={})
    added = [key for key in dict.fromkeys(more) if key not in stays]
    assert [after.key(row) for row in range(len(after))] == [*stays, *added]
    assert after.order.tolist() == sorted(range(len(after)), key=after.key)
    owned = {(table.key(key), document) for key, document in pairs.tolist()}
    owned |= {(key, count + at) for at, key in enumerate(more)}
    assert {(after.key(key), document) for key, document in after.pairs.tolist()} == owned
    assert after.pairs.tolist() == sorted(after.pairs.tolist())


def test_a_changed_table_is_refused_where_keys_that_stay_leave_a_smaller_vocabulary():
    table = build([(0, 3), (1, 0)])
    names, every = ["d0", "d1"], np.ones(2, bool)
    with pytest.raises(InputError, match=r"key 0 \(0, 3\) leaves its vocabulary \(4, 3\)"):
        table.changed(every, table.pairs, [], [], names, level_sizes=(4, 3), state={})
    with pytest.raises(InputError, match="2 tokens but there are 1 levels"):
        table.changed(every, table.pairs, [], [], names, level_sizes=(4,), state={})
    with pytest.raises(InputError, match="points outside"):
        table.changed(every, table.pairs, [(2,)], [2], names, level_sizes=(4, 4), state={})


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
