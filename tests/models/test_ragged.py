import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from retrograd.models.ragged import Ragged, batches_by_length

ragged_rows = st.lists(st.lists(st.integers(1, 99), max_size=6), min_size=1, max_size=8)


@given(ragged_rows, st.data())
def test_padded_rows_are_the_rows_with_zeros_behind(rows, data):
    ragged = Ragged.of([np.array(row, np.int32) for row in rows], np.zeros(0, np.int32))
    wanted = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=5)))
    values, where = ragged.padded(wanted)
    assert len(ragged) == len(rows)
    assert values.dtype == where.int().dtype
    for at, row in enumerate(wanted):
        assert values[at][where[at]].tolist() == rows[row]
        assert not values[at][~where[at]].any()


def test_no_rows_keep_dtype_and_shape():
    empty = Ragged.of([], np.zeros((0, 3), np.float16))
    assert len(empty) == 0
    assert empty.values.shape == (0, 3)
    assert empty.values.dtype == np.float16


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 200))
def test_every_row_is_in_one_batch_within_the_budget(lengths, budget):
    lengths = np.array(lengths, np.int64)
    batches = batches_by_length(lengths, budget)
    assert sorted(row for rows in batches for row in rows) == list(range(len(lengths)))
    for rows in batches:
        assert len(rows) == 1 or len(rows) * lengths[rows].max() <= budget
