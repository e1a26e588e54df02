"""Atomic ids: the token is the row."""

import numpy as np

from retrograd.docids.atomic import Atomic
from retrograd.docids.inputs import DocidInputs
from retrograd.types import Corpus, Document


def inputs(names):
    return DocidInputs(Corpus(Document(name) for name in names), 0, lambda encoder, of: np.empty(0))


def test_the_level_grows_by_the_documents_that_come():
    table = Atomic().assign(inputs("abc"))
    assert table.level_sizes == (3,)
    longer = Atomic().insert(table, inputs("de"))
    assert longer.level_sizes == (5,)
    assert [longer.key(row) for row in range(5)] == [(0,), (1,), (2,), (3,), (4,)]
    assert [longer.keys_of(row).tolist() for row in range(5)] == [[0], [1], [2], [3], [4]]
