"""Collision policies: unique, stable under later insertion, nearest where they move a document."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from retrograd.docids.collisions import expand, reassign, suffix

rows = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=20)


def matrix(keys, width=2):
    return np.array(keys, np.int64).reshape(len(keys), width)


def tuples(keys):
    return [tuple(key) for key in keys.tolist()]


def distances_for(count, seed, codes=4):
    return np.random.default_rng(seed).integers(0, 5, size=(count, codes)).astype(float)


@given(rows, rows)
def test_suffix_numbers_twins_in_row_order_from_the_next_free_digit(first, second):
    old = suffix(matrix(first), np.empty((0, 3), np.int64))
    keys = suffix(matrix(second), old)
    assert tuples(keys[:, :2]) == [tuple(row) for row in second]
    seen = [*first, *second]
    for at, row in enumerate(second):
        assert keys[at, 2] == seen[: len(first) + at].count(row)
    assert len({*tuples(old), *tuples(keys)}) == len(seen)


@given(rows, rows)
def test_suffix_in_two_batches_equals_suffix_in_one(first, second):
    nothing = np.empty((0, 3), np.int64)
    old = suffix(matrix(first), nothing)
    parts = np.concatenate([old, suffix(matrix(second), old)])
    assert np.array_equal(parts, suffix(matrix([*first, *second]), nothing))


@given(rows)
def test_expand_changes_nothing(keys):
    codes = matrix(keys)
    assert np.array_equal(expand(codes, codes), codes)


@given(rows, st.sets(st.tuples(st.integers(0, 2), st.integers(0, 3))), st.integers(0, 99))
def test_reassign_is_unique_and_touches_only_the_last_code(keys, taken, seed):
    codes, old = matrix(keys), matrix(sorted(taken))
    out = reassign(codes, old, distances_for(len(keys), seed))
    assert len({*tuples(out), *taken}) == len(keys) + len(taken)
    assert np.array_equal(out[:, 0], codes[:, 0])


@given(rows, st.sets(st.tuples(st.integers(0, 2), st.integers(0, 3))), st.integers(0, 99))
def test_reassign_lets_first_owners_stay_and_sends_others_to_the_nearest_free_code(keys, taken, seed):
    distances = distances_for(len(keys), seed)
    out = tuples(reassign(matrix(keys), matrix(sorted(taken)), distances))
    first = [at for at, key in enumerate(keys) if key not in taken and keys.index(key) == at]
    used = set(taken)
    for at in first:
        assert out[at] == keys[at]
        used.add(keys[at])
    for at in sorted(set(range(len(keys))) - set(first)):
        prefix = keys[at][0]
        free = [code for code in range(4) if (prefix, code) not in used]
        if free:
            assert out[at][1] in free
            assert distances[at, out[at][1]] == min(distances[at, code] for code in free)
        else:
            assert out[at][1] == max(4, 1 + max(code for head, code in used if head == prefix))
        used.add(out[at])


def test_a_full_last_level_grows_one_code_at_a_time():
    codes = matrix([(0, 0)] * 6)
    out = reassign(codes, np.empty((0, 2), np.int64), np.zeros((6, 4)))
    assert out[:, 1].tolist() == [0, 1, 2, 3, 4, 5]


def test_no_documents_are_no_problem():
    empty = matrix([])
    assert suffix(empty, np.empty((0, 3), np.int64)).shape == (0, 3)
    assert reassign(empty, empty, np.empty((0, 4))).shape == (0, 2)
