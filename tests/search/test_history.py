"""Searching with a history: the searcher inside sees the request in words, exactly as training wrote it."""

import numpy as np
import pytest

from retrograd.data.examples import ExampleContext
from retrograd.data.requests import TrainRequests
from retrograd.errors import InputError
from retrograd.search.combine import Scorer
from retrograd.search.history import WithHistory
from retrograd.search.lexical import Lexical
from retrograd.search.nearest import Nearest
from retrograd.search.parts import Parts
from retrograd.types import Corpus, Document, Query

CORPUS = Corpus([Document("a", "x", "Soap"), Document("b", "y", "Brush"), Document("c", "z", "Comb")])
REQUEST = Query("q", "hair", ("a", "b", "c"))


class Listening:
    """A vector model that writes down what it is asked."""

    def __init__(self):
        self.heard = []

    def query_vectors(self, texts):
        self.heard += texts
        return np.eye(3, dtype=np.float32)[[len(text) % 3 for text in texts]]

    def document_vectors(self, texts):
        return np.eye(3, dtype=np.float32)[: len(texts)]


def built(config, tmp_path):
    parts = Parts(corpus=CORPUS, model=Listening(), folder=tmp_path)
    return config.build(parts), parts.model


@pytest.mark.parametrize(
    ("order", "text"), [("newest_first", "hair. Comb. Brush"), ("chronological", "hair. Brush. Comb")]
)
def test_search_and_training_write_a_request_alike(tmp_path, order, text):
    searcher, model = built(WithHistory(search=Nearest(), items=2, order=order), tmp_path)
    searcher.search([REQUEST], 3)
    searcher.score([REQUEST], [["a"]])
    context = ExampleContext(CORPUS, [REQUEST], {"q": {"b": 1}})
    assert model.heard == [text, text] == TrainRequests(items=2, order=order)(context).texts * 2


def test_a_query_without_a_history_is_asked_as_it_is(tmp_path):
    plain = [Query("1", "hair"), Query("2", "")]
    searcher, model = built(WithHistory(search=Nearest()), tmp_path)
    assert searcher.search(plain, 2) == Nearest().build(Parts(CORPUS, Listening())).search(plain, 2)
    assert model.heard == ["hair", ""]


def test_items_that_left_the_corpus_are_passed_over(tmp_path):
    searcher, model = built(WithHistory(search=Nearest(), items=2), tmp_path)
    searcher.search([Query("q", "hair", ("a", "gone", "b", "gone"))], 1)
    assert model.heard == ["hair. Brush. Soap"]


def test_it_scores_candidates_where_the_searcher_inside_does(tmp_path):
    assert isinstance(WithHistory(search=Nearest()).build(Parts(CORPUS, Listening())), Scorer)
    lexical, _ = built(WithHistory(search=Lexical()), tmp_path)
    assert not isinstance(lexical, Scorer)
    assert lexical.search([REQUEST], 3).documents() == {"q": ["a", "b", "c"]}


def test_an_unknown_order_and_no_items_are_refused():
    with pytest.raises(InputError, match="newest_first, chronological"):
        WithHistory(search=Lexical(), order="random")
    with pytest.raises(InputError, match="0 items"):
        WithHistory(search=Lexical(), items=0)
