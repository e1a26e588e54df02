"""Nearest-neighbour search: what is kept between builds, what is refused, and scoring given candidates."""

import numpy as np
import pytest

from retrograd.errors import ArtifactError
from retrograd.indexes.faiss_index import Hnsw
from retrograd.search.nearest import VECTORS, Nearest
from retrograd.search.parts import Parts
from retrograd.types import Corpus, Document, Query


class Axes:
    """Document `i` points along axis `i`; a query text lists its coordinates. Counts its own use."""

    encoded = 0

    def document_vectors(self, texts):
        self.encoded += len(texts)
        return np.eye(4)[[int(text) for text in texts]]

    def query_vectors(self, texts):
        return np.array([[float(part) for part in text.split(",")] for text in texts])


@pytest.fixture
def parts(tmp_path):
    return Parts(corpus=Corpus(Document(f"d{i}", str(i)) for i in range(4)), model=Axes(), folder=tmp_path)


def test_the_largest_inner_product_comes_first(parts):
    (hits,) = Nearest().build(parts).search([Query("q", ".1,.9,0,.5")], 2).hits
    assert [(hit.document, hit.score) for hit in hits] == [("d1", np.float32(0.9)), ("d3", 0.5)]


def test_documents_are_encoded_once_and_kept_as_float32(parts):
    for config in (Nearest(), Nearest(), Nearest(index=Hnsw())):
        config.build(parts)
    assert parts.model.encoded == 4
    assert parts.arrays[VECTORS].dtype == np.float32
    assert sorted(parts.arrays) == [VECTORS, f"{Hnsw().name}.index"]


def test_a_kept_index_is_used_again(parts):
    Nearest(index=Hnsw()).build(parts)
    parts.arrays[f"{Hnsw().name}.index"] = np.zeros(3, dtype=np.uint8)
    with pytest.raises(ArtifactError, match="not readable"):
        Nearest(index=Hnsw(ef_search=9)).build(parts)


def test_vectors_of_another_corpus_are_refused(parts):
    parts.arrays[VECTORS] = np.eye(3, dtype=np.float32)
    with pytest.raises(ArtifactError, match="3 document vectors were saved but the corpus has 4"):
        Nearest().build(parts)


def test_given_candidates_are_scored_as_in_search(parts):
    searcher = Nearest().build(parts)
    query = Query("q", ".1,.9,.3,.5")
    found = {hit.document: hit.score for hit in searcher.search([query], 4).hits[0]}
    one, none = searcher.score([query, query], [["d3", "d0", "d2"], []])
    assert one.tolist() == [found["d3"], found["d0"], found["d2"]]
    assert none.shape == (0,)
    assert searcher.score([], []) == []
