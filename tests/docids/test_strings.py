"""Random strings: distinct, of one length, and never drawn twice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.docids.inputs import DocidInputs
from retrograd.docids.strings import RandomStrings, _draw
from retrograd.errors import InputError
from retrograd.types import Corpus, Document


def inputs(numbers, seed=0):
    return DocidInputs(Corpus(Document(str(n)) for n in numbers), seed, lambda encoder, of: np.empty(0))


@given(st.sets(st.integers(0, 11)), st.integers(0, 9))
def test_the_free_strings_are_drawn_each_once(used, seed):
    free = 12 - len(used)
    keys = _draw((3, 4), np.array(sorted(used), np.int64), free, np.random.default_rng(seed))
    assert {a * 4 + b for a, b in keys.tolist()} == set(range(12)) - used


@pytest.mark.parametrize(("count", "length"), [(1, 1), (2, 2), (10, 2), (11, 3), (100, 3), (101, 4)])
def test_the_length_leaves_ten_strings_per_document(count, length):
    table = RandomStrings().assign(inputs(range(count)))
    assert table.level_sizes == (10,) * length
    assert (np.diff(table.offsets) == length).all()


def test_a_space_may_be_filled_completely_and_then_grows_in_the_last_place():
    scheme = RandomStrings(alphabet=2, length=3)
    table = scheme.assign(inputs(range(6)))
    table = scheme.insert(table, inputs([6, 7]))
    assert (len(table), table.level_sizes) == (8, (2, 2, 2))
    table = scheme.insert(table, inputs([8]))
    assert (len(table), table.level_sizes) == (9, (2, 2, 3))


def test_too_short_strings_are_refused_with_the_count():
    with pytest.raises(InputError, match="2 digits make 4 strings for 5 documents"):
        RandomStrings(alphabet=2, length=2).assign(inputs(range(5)))


def test_another_seed_gives_other_strings():
    one, two = (RandomStrings().assign(inputs(range(50), seed)) for seed in (0, 1))
    assert one.tokens.tobytes() != two.tokens.tobytes()
