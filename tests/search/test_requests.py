"""Asking one system with a text, a history, or both: probabilities, exclusion, and what means nothing."""

import numpy as np
import pytest

from retrograd.docid_table import DocidTable
from retrograd.docids.append import append_keys
from retrograd.errors import InputError
from retrograd.models.request_transformer import RequestTransformer
from retrograd.models.tfidf_svd import TfidfSvd
from retrograd.search.learning import takes_history, takes_text
from retrograd.search.parts import Parts
from retrograd.search.requests import RequestScores
from retrograd.types import Corpus, Document, Query

IDS = tuple("abcdefgh")
CORPUS = Corpus(Document(item, title=f"kind{at % 3} thing{at}") for at, item in enumerate(IDS))
KEYS = [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [2, 0], [2, 1], [2, 2]]
TABLE = DocidTable.from_keys(KEYS, range(8), IDS, level_sizes=(3, 3))
LENGTH = 4
ASKED = [Query("t", "kind1"), Query("h", "", ("a", "b")), Query("b", "kind1", ("a", "b"))]


def parts_of(corpus=CORPUS, table=TABLE):
    config = RequestTransformer(width=16, heads=2, length=LENGTH, encoder=TfidfSvd(dimensions=4))
    return Parts(corpus, config.build(config.fit(CORPUS.contents), TABLE, seed=3).eval(), table)


def answers(query, parts=None, k=20, **settings):
    searcher = RequestScores(**settings).build(parts or parts_of())
    return {hit.document: hit.score for hit in searcher.search([query], k).hits[0]}


def test_it_says_what_it_reads():
    assert takes_history(RequestScores())
    assert takes_text(RequestScores())


@pytest.mark.parametrize("query", ASKED, ids=lambda query: query.id)
def test_scores_are_log_probabilities_of_all_items(query):
    found = answers(query, exclude_history=False)
    assert set(found) == set(IDS)
    assert np.exp(list(found.values())).sum() == pytest.approx(1, abs=1e-5)


def test_what_was_taken_is_no_answer_whether_or_not_a_text_is_asked():
    assert set(answers(ASKED[0])) == set(IDS)
    for query in ASKED[1:]:
        assert set(answers(query)) == set(IDS) - {"a", "b"}


def test_many_requests_are_answered_like_each_alone_and_in_order():
    searcher = RequestScores().build(parts_of())
    asked = [Query(f"{query.id}{at}", query.text, query.history) for at in range(300) for query in ASKED]
    ranking = searcher.search(asked, 3)
    assert ranking.query_ids == tuple(query.id for query in asked)
    for at, query in enumerate(asked[:6]):
        assert [hit.document for hit in ranking.hits[at]] == list(answers(query, k=3))
        assert [hit.document for hit in ranking.hits[-len(ASKED) + at % 3]] == list(answers(query, k=3))
    scores, rows = searcher.search_rows(asked, 3)
    assert [CORPUS.ids[row] for row in rows[1]] == list(answers(ASKED[1], k=3))
    assert (np.diff(scores, axis=1) <= 0).all()


def test_a_request_with_neither_text_nor_history_is_refused_by_name():
    for text in ("", "  "):
        with pytest.raises(InputError, match="'empty' has neither a text nor a history"):
            RequestScores().build(parts_of()).search([ASKED[0], Query("empty", text)], 3)


def test_a_history_of_items_that_left_says_nothing():
    assert answers(Query("q", "", ("gone",))) == {}
    assert answers(Query("q", "kind1", ("gone",))) == answers(Query("q", "kind1"))


def test_of_a_long_history_the_newest_items_are_read():
    for text, kept in (("", "efgh"), ("kind1", "fgh")):
        long = answers(Query("q", text, tuple("abcdefgh")), exclude_history=False)
        short = answers(Query("q", text, tuple(kept)), exclude_history=False)
        assert list(long.values()) == pytest.approx(list(short.values()), abs=1e-5)


def test_an_item_that_came_later_is_found_and_read():
    corpus = Corpus([*CORPUS, Document("new", title="kind0 thing0")])
    parts = parts_of(corpus, append_keys(TABLE, [[0, 3]], ["new"]))
    for query in ASKED:
        found = answers(query, parts, exclude_history=False)
        assert "new" in found
        assert np.exp(list(found.values())).sum() == pytest.approx(1, abs=1e-5)
    assert "new" not in answers(Query("q", "kind1", ("new",)), parts)
    assert answers(Query("q", "", ("new",)), parts)


def test_another_model_is_refused():
    with pytest.raises(InputError, match="RequestTransformer"):
        RequestScores().build(Parts(CORPUS))
