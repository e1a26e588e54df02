"""One battery over every recommender: full rankings, no repeats of the history, ties by the rule it states.

A recommender is tested by being listed in `RECOMMENDERS`.
"""

import numpy as np
import pytest

from retrograd.data.examples import ExampleContext
from retrograd.indexes.faiss_index import Ivf
from retrograd.search.combine import Fuse, Scorer
from retrograd.search.counting import ItemKNN, Popular, TransitionKNN
from retrograd.search.learning import memorise
from retrograd.search.nearest_to_history import NearestToHistory
from retrograd.search.next_item import ItemScores, NextItemSearcher
from retrograd.search.parts import Parts
from retrograd.types import Corpus, Document, History, Query, Searcher, best_rows

RECOMMENDERS = (
    Popular(),
    TransitionKNN(),
    TransitionKNN(window=1, items=1, decay=1.0),
    TransitionKNN(window=10, backward=0.5, items=0, decay=0.6),
    ItemKNN(ties="smallest_row"),
    NearestToHistory(),
    NearestToHistory(index=Ivf(lists=2, probes=2), items=2),
    Fuse(parts=(TransitionKNN(), Popular(), ItemKNN()), rule="z_score"),
)
IDS = tuple(f"i{number:02}" for number in range(30, 0, -1))
CORPUS = Corpus(Document(item, title=item) for item in IDS)
QUERIES = (
    Query("one", "", ("i03", "i07", "i01")),
    Query("none", ""),
    Query("gone", "", ("lost",)),
    Query("again", "", ("i05", "i05", "i02")),
    Query("text", "words nobody reads", ("i03", "i07", "i01")),
)


class Vectors:
    """Vectors that depend on the text alone."""

    def document_vectors(self, texts):
        found = np.stack([np.random.default_rng(list(text.encode())).normal(size=8) for text in texts])
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def lives():
    rng = np.random.default_rng(3)
    return [History(f"u{at}", tuple(rng.choice(IDS[5:], size=6, replace=False))) for at in range(25)]


def parts_for(config, tmp_path):
    learnt = memorise(config, ExampleContext(CORPUS, histories=lives()))
    return Parts(CORPUS, Vectors(), folder=tmp_path, learnt=learnt)


@pytest.fixture(scope="module", params=RECOMMENDERS, ids=repr)
def searcher(request, tmp_path_factory):
    return request.param.build(parts_for(request.param, tmp_path_factory.mktemp("parts")))


def test_it_keeps_the_protocols(searcher):
    assert isinstance(searcher, Searcher)
    assert searcher.search(QUERIES, 3).query_ids == tuple(query.id for query in QUERIES)
    assert len(searcher.search([], 5)) == 0


def test_no_answer_is_in_the_history_twice_or_out_of_order(searcher):
    for k in (1, 7, 30):
        for query, (_, hits) in zip(QUERIES, searcher.search(QUERIES, k), strict=True):
            items = [hit.document for hit in hits]
            assert len(items) == len(set(items)) <= k
            assert not set(items) & set(query.history)
            order = [(-hit.score, CORPUS.row_of[hit.document]) for hit in hits]
            assert order == sorted(order)
            assert np.isfinite([hit.score for hit in hits]).all()


def test_fewer_answers_are_the_beginning_of_more(searcher):
    if isinstance(searcher, NextItemSearcher):
        few, more = searcher.search(QUERIES, 4), searcher.search(QUERIES, 30)
        assert few.hits == tuple(hits[:4] for hits in more.hits)


def test_matrices_hold_the_same_ranking(searcher):
    scores, rows = best_rows(searcher, QUERIES, 12, CORPUS.row_of)
    for (_, hits), own_scores, own_rows in zip(searcher.search(QUERIES, 12), scores, rows, strict=True):
        assert [CORPUS.row_of[hit.document] for hit in hits] == own_rows[: len(hits)].tolist()
        assert [hit.score for hit in hits] == own_scores[: len(hits)].tolist()
        assert (own_rows[len(hits) :] == -1).all()


def test_a_text_is_not_read_and_a_batch_answers_like_its_queries(searcher):
    hits = dict(searcher.search(QUERIES, 8))
    assert hits["text"] == hits["one"]
    for query in QUERIES:
        assert searcher.search([query], 8).hits[0] == hits[query.id]


def test_given_items_score_as_they_rank(searcher):
    if isinstance(searcher, Scorer):
        for query, (_, hits) in zip(QUERIES, searcher.search(QUERIES, 9), strict=True):
            (scores,) = searcher.score([query], [[hit.document for hit in hits]])
            assert scores.tolist() == pytest.approx([hit.score for hit in hits])


@pytest.mark.parametrize("config", RECOMMENDERS, ids=repr)
def test_a_corpus_that_changed_is_answered_from_what_is_left(config, tmp_path):
    parts = parts_for(config, tmp_path)
    changed = Corpus([*CORPUS[3:], Document("new", title="new")])
    answers = config.build(Parts(changed, Vectors(), folder=tmp_path, learnt=parts.learnt)).search(
        QUERIES, 30
    )
    assert all(hit.document in changed.row_of for _, hits in answers for hit in hits)


def scored(scores, ties=None, **more):
    corpus = Corpus(Document(item) for item in "abcde")
    return NextItemSearcher(
        corpus, lambda histories: ItemScores(np.array([scores] * len(histories)), ties), **more
    )


def test_equal_scores_go_by_row_or_by_the_rule_given_even_at_the_last_place():
    query = [Query("q", "")]
    equal = [1.0, 2.0, 1.0, 1.0, -np.inf]
    assert scored(equal).search(query, 3).documents()["q"] == ["b", "a", "c"]
    backwards = scored(equal, lambda at, rows: -rows)
    assert backwards.search(query, 3).documents()["q"] == ["b", "d", "c"]
    assert len(scored(equal).search(query, 5).hits[0]) == 4, "what is not proposed is no answer"


def test_a_history_may_be_answered_again_where_that_is_wanted():
    query = [Query("q", "", ("b",))]
    assert scored([1.0, 2.0, 1.0, 1.0, 0.0]).search(query, 1).documents()["q"] == ["a"]
    assert scored([1.0, 2.0, 1.0, 1.0, 0.0], exclude_history=False).search(query, 1).documents()["q"] == ["b"]
