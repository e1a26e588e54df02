"""Packed histories: nothing lost, nobody torn apart, every prefix asked once, the same every time."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.data.examples import ExampleContext
from retrograd.data.sequences import NOTHING, EveryPrefix, cut_from_the_end, pack
from retrograd.errors import InputError
from retrograd.types import Corpus, Document, History

IDS = tuple("abcdefgh")
CORPUS = Corpus(Document(item) for item in IDS)
lives = st.lists(st.lists(st.sampled_from(IDS), max_size=11), max_size=9)
WIDTH = 7
pieces_of_rows = st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=WIDTH), max_size=12)


def examples_of(users, source):
    histories = [History(str(at), tuple(items)) for at, items in enumerate(users)]
    return source(ExampleContext(CORPUS, histories=histories))


@given(pieces_of_rows)
def test_packing_loses_nothing_and_keeps_every_piece_in_one_stretch(lists):
    rows = pack([np.array(items, np.int64) for items in lists], WIDTH)
    assert (rows.items >= 0).sum() == sum(map(len, lists))
    for at, items in enumerate(lists):
        row, column = rows.ends[at]
        stretch = slice(column - len(items) + 1, column + 1)
        assert rows.items[row, stretch].tolist() == items
        assert (rows.pieces[row, stretch] == at).all()
        assert rows.places[row, stretch].tolist() == list(range(len(items)))
    assert ((rows.items == NOTHING) == (rows.pieces == NOTHING)).all()


@given(pieces_of_rows)
def test_no_two_rows_could_have_been_one(lists):
    rows = pack([np.array(items, np.int64) for items in lists], WIDTH)
    used = np.sort((rows.items >= 0).sum(axis=1))
    assert (used > 0).all()
    assert len(used) < 2 or used[0] + used[1] > WIDTH


@given(st.integers(0, 20), st.integers(1, 6))
def test_a_cut_history_is_whole_and_only_its_oldest_piece_is_short(count, length):
    pieces = cut_from_the_end(np.arange(count), length)
    assert np.concatenate([np.zeros(0), *pieces]).tolist() == list(range(count))
    assert all(len(piece) == length for piece in pieces[1:])
    assert all(1 <= len(piece) <= length for piece in pieces)


@given(lives, st.integers(1, 5))
def test_every_item_that_has_one_before_it_is_a_target_once(users, length):
    examples = examples_of(users, EveryPrefix(length=length, row=8))
    asked = [
        (IDS[item], IDS[target])
        for items, targets in zip(examples.rows.items, examples.targets, strict=True)
        for item, target in zip(items, targets, strict=True)
        if target != NOTHING
    ]
    expected = [pair for items in users for pair in pairwise(items)]
    assert sorted(asked) == sorted(expected)
    assert ((examples.targets == NOTHING) == (examples.rows.items == NOTHING)).all()


@given(lives)
def test_what_stands_before_a_target_is_what_its_user_took_before(users):
    examples = examples_of(users, EveryPrefix(length=11, row=12))
    prefixes = {(tuple(items[:at]), items[at]) for items in users for at in range(1, len(items))}
    rows = examples.rows
    for row, column in zip(*np.nonzero(examples.targets >= 0), strict=True):
        first = column - rows.places[row, column]
        before = tuple(IDS[item] for item in rows.items[row, first : column + 1])
        assert (before, IDS[examples.targets[row, column]]) in prefixes


def test_the_same_histories_give_the_same_rows():
    users = [list("abcd"), list("ba"), list("fedcba"), list("gh")]
    one, two = (examples_of(users, EveryPrefix(length=4, row=6)) for _ in range(2))
    assert np.array_equal(one.rows.items, two.rows.items)
    assert np.array_equal(one.targets, two.targets)


def test_users_with_one_item_and_no_users_at_all_give_no_example():
    assert len(examples_of([["a"], []], EveryPrefix())) == 0
    assert len(examples_of([], EveryPrefix())) == 0


def test_a_piece_that_no_row_can_hold_is_refused():
    with pytest.raises(InputError, match="length=65"):
        EveryPrefix(length=65, row=64)
