"""What adapters read is the system as it is now, and reading leaves no trace in it."""

import numpy as np
import pytest

from retrograd.adapters.source import blocks, current, document_vectors, has_vectors, keys_of, query_vectors
from retrograd.errors import InputError
from tests.adapters.systems import CORPUS, Changing, fitted, without


def test_the_current_system_of_a_live_one_is_read_anew():
    live = Changing(fitted("dense"))
    assert current(live) is live.system
    live.system = without(live.system, "0")
    assert "0" not in current(live).corpus.row_of
    assert current(fitted("bm25")) is fitted("bm25")


def test_vectors_rank_as_the_system_does():
    system = fitted("dense")
    products = query_vectors(system, ["depth of an image"]) @ document_vectors(system).T
    best = system.search("depth of an image", k=1).hits[0][0]
    assert best.score == pytest.approx(float(products.max()), abs=1e-6)


def test_reading_vectors_adds_nothing_to_what_is_saved():
    system = without(fitted("dense"), "0")
    system.parts.arrays.clear()
    assert document_vectors(system).shape == (len(CORPUS) - 1, 16)
    assert not system.parts.arrays


def test_a_system_without_vectors_is_named():
    assert not has_vectors(fitted("bm25"))
    for read in (document_vectors, lambda system: query_vectors(system, ["x"])):
        with pytest.raises(InputError, match="'bm25' has no document vectors"):
            read(fitted("bm25"))


def test_no_text_gives_no_vector():
    assert query_vectors(fitted("dense"), []).shape == (0, 16)


def test_keys_are_those_of_the_table():
    system = fitted("ultron_pq")
    ids = ["0", "d7"]
    expected = [
        tuple(system.table.key(int(k)) for k in system.table.keys_of(system.corpus.row_of[i])) for i in ids
    ]
    assert keys_of(system, ids) == expected
    assert keys_of(fitted("bm25"), ids) == [(), ()]


@pytest.mark.parametrize("count, size", [(0, 3), (1, 3), (3, 3), (7, 3)])
def test_blocks_cover_everything_once(count, size):
    numbers = np.arange(count)
    assert [n for some in blocks(count, size) for n in numbers[some]] == numbers.tolist()
    assert all(len(numbers[some]) <= size for some in blocks(count, size))
