"""Scheme inputs: one vector row per document."""

import numpy as np
import pytest

from retrograd.docids.inputs import DocidInputs
from retrograd.errors import InputError
from retrograd.types import Corpus, Document

CORPUS = Corpus([Document("a"), Document("b")])


def test_vectors_arrive_as_float32():
    assert (
        DocidInputs(CORPUS, 0, lambda encoder, of: np.ones((2, 3))).vectors_of(None, "documents").dtype
        == np.float32
    )


@pytest.mark.parametrize("shape", [(1, 3), (3, 3), (2,)])
def test_another_number_of_rows_is_refused(shape):
    with pytest.raises(InputError, match="2 documents came with vectors of shape"):
        DocidInputs(CORPUS, 0, lambda encoder, of: np.ones(shape)).vectors_of(None, "documents")
