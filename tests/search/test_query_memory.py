"""The memory of judged queries: exact where a query returns, silent where none is near."""

import numpy as np
import pytest

from retrograd.data.examples import ExampleContext
from retrograd.search.learning import memorise
from retrograd.search.nearest import Nearest
from retrograd.search.parts import Parts
from retrograd.search.query_memory import QueryMemory
from retrograd.types import Corpus, Document, Query

WORDS = {"near": [1.0, 0.1, 0.0], "far": [0.0, 0.0, 1.0], "asked": [1.0, 0.0, 0.0]}
CORPUS = Corpus(Document(id, id) for id in ("a", "b", "c", "d"))
DOCUMENTS = np.array([[1, 0, 0], [0.9, 0.1, 0], [0, 1, 0], [0, 0, 1]], np.float32)


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class Model:
    def query_vectors(self, texts):
        return unit(np.array([WORDS[text] for text in texts]))

    def document_vectors(self, texts):
        return unit(DOCUMENTS[[CORPUS.row_of[text] for text in texts]])


def searcher(judgements, **choices):
    config = QueryMemory(then=Nearest(), **choices)
    queries = [Query(text, text) for text in judgements]
    learnt = memorise(config, ExampleContext(CORPUS, queries, judgements))
    parts = Parts(CORPUS, Model(), learnt=learnt)
    return config.build(parts)


def order(searcher, text, k=4):
    return searcher.search([Query("q", text)], k).documents()["q"]


def test_a_query_that_returns_brings_back_what_was_taken():
    assert order(searcher({"asked": {"c": 3, "d": 1}}, weight=2.0), "asked")[:2] == ["c", "a"]
    assert order(searcher({"asked": {"c": 3, "d": 1}}, weight=50.0), "asked")[:2] == ["c", "d"]


def test_a_near_query_speaks_softly_and_a_far_one_not_at_all():
    alone = order(searcher({}), "asked")
    assert alone == ["a", "b", "c", "d"]
    assert order(searcher({"far": {"c": 1}}, weight=50.0), "asked") == alone
    assert order(searcher({"near": {"c": 1}}, weight=50.0), "asked")[0] == "c"


def test_the_score_is_the_cosine_plus_the_weighted_share():
    found = searcher({"near": {"c": 1, "b": 3}}, weight=0.5, temperature=0.1).search([Query("q", "asked")], 4)
    near, asked = (unit(np.array([WORDS[word]]))[0] for word in ("near", "asked"))
    cosines = unit(DOCUMENTS) @ asked
    fade = np.exp((near @ asked - 1) / 0.1)
    expected = dict(zip(CORPUS.ids, cosines + 0.5 * fade * np.array([0, 0.75, 0.25, 0]), strict=True))
    for hit in found.hits[0]:
        assert hit.score == pytest.approx(expected[hit.document], rel=1e-5)


def test_remembered_documents_beyond_the_depth_are_found():
    found = order(searcher({"asked": {"d": 1}}, depth=1), "asked", k=2)
    assert set(found) == {"a", "d"}


def test_batch_and_single_answers_agree():
    memory = searcher({"near": {"c": 2}, "far": {"a": 1}})
    texts = ["asked", "near", "far"]
    together = memory.search([Query(text, text) for text in texts], 3).documents()
    assert together == {text: order(memory, text, 3) for text in texts}


def test_documents_that_are_gone_are_forgotten():
    assert order(searcher({"asked": {"gone": 5, "c": 1}}, weight=9.0), "asked")[0] == "c"


def test_bad_settings_are_refused():
    for wrong in ({"temperature": 0.0}, {"weight": -1.0}, {"depth": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            QueryMemory(then=Nearest(), **wrong)
