"""Vectors as questions: the exact neighbours, or a reason why not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.data.dataset import load_dataset
from retrograd.errors import InputError
from retrograd.recipes import recipe
from retrograd.search.by_vector import VectorSearcher, has_vectors
from retrograd.search.nearest import VECTORS
from retrograd.search.parts import Parts
from retrograd.training.fit import fit
from retrograd.types import Corpus, Document
from tests.small_systems import small

WIDTH = 4


def searcher_over(vectors):
    corpus = Corpus(Document(f"d{row}") for row in range(len(vectors)))
    return VectorSearcher(Parts(corpus, arrays={VECTORS: np.asarray(vectors, np.float32)}))


@given(st.integers(1, 20), st.integers(0, 3), st.integers(1, 25), st.data())
def test_answers_are_the_nearest_of_those_allowed(documents, queries, k, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    vectors = rng.integers(-2, 3, (documents, WIDTH)).astype(np.float32)
    asked = rng.integers(-2, 3, (queries, WIDTH)).astype(np.float32)
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=documents, max_size=documents)))
    for mask in (None, allowed):
        rows = range(documents) if mask is None else np.flatnonzero(mask)
        found = searcher_over(vectors).search(asked, k, mask)
        expected = [sorted(rows, key=lambda row: (-(vectors[row] @ query), row))[:k] for query in asked]
        assert [[hit.document for hit in hits] for hits in found.hits] == [
            [f"d{row}" for row in best] for best in expected
        ]
        assert found.query_ids == tuple(map(str, range(queries)))


@pytest.mark.parametrize(
    "vectors",
    [
        [[1.0, 2.0]], [[1.0] * 5], [1.0] * 4, [[[1.0] * 4]], [[np.nan] * 4], [[np.inf] * 4], [[1e300] * 4],
        [["a"] * 4], [[1.0, 2.0], [1.0]], "text", [[None] * 4], [[10**400] * 4], [{}],
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(vectors):
    with pytest.raises(InputError):
        searcher_over(np.eye(WIDTH)).search(vectors, 3)


@pytest.mark.parametrize("name", ["dense", "hybrid", "dgi_plus"])
def test_a_document_s_own_vector_finds_it_in_systems_that_have_vectors(name, tiny_data, tmp_path):
    system = fit(small(recipe(name)), load_dataset(tiny_data), tmp_path / "s")
    vectors = system.parts.arrays[VECTORS]
    found = system.search_vectors(vectors, k=1)
    same = [np.flatnonzero((vectors == vector).all(1))[0] for vector in vectors]
    assert [hits[0].document for hits in found.hits] == [system.corpus.ids[row] for row in same]
    first = system.corpus.ids[0]
    assert system.search_vectors(vectors[:2], k=5, where={"id": first}).documents() == {
        "0": [first],
        "1": [first],
    }
    with pytest.raises(InputError, match="k=0"):
        system.search_vectors(vectors, k=0)


@pytest.mark.parametrize("name", ["bm25", "dsi_qg"])
def test_systems_without_vectors_say_so(name, tiny_data, tmp_path):
    system = fit(small(recipe(name)), load_dataset(tiny_data), tmp_path / "s")
    assert not has_vectors(system.parts)
    with pytest.raises(InputError, match=f"{name} .*vectors"):
        system.search_vectors([[0.0]])
