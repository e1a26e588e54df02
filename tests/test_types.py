"""The nouns: rows and ids of a corpus, and rankings cut from matrices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.errors import InputError
from retrograd.types import Corpus, Document, Query, Ranking, Searcher

unique_ids = st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=20, unique=True)


@given(unique_ids)
def test_rows_and_ids_undo_each_other(ids):
    corpus = Corpus(Document(name, text=name) for name in ids)
    assert list(corpus.ids) == ids == [document.id for document in corpus]
    assert [corpus[corpus.row_of[name]].id for name in ids] == ids
    assert corpus.contents == [document.contents for document in corpus]
    assert corpus[1:] == tuple(corpus)[1:]


@given(unique_ids, st.data())
def test_an_id_that_occurs_twice_is_named(ids, data):
    again = data.draw(st.sampled_from(ids))
    with pytest.raises(InputError, match="occurs twice") as caught:
        Corpus(Document(name) for name in [*ids, again])
    assert repr(again) in str(caught.value)


@pytest.mark.parametrize(
    ("documents", "reason"),
    [([], "no document"), ([Document("a"), Document("")], "document 2 has an empty id")],
)
def test_a_corpus_refuses_what_cannot_be_found_again(documents, reason):
    with pytest.raises(InputError, match=reason):
        Corpus(documents)


@pytest.mark.parametrize(
    ("title", "text", "contents"), [("T", "b", "T b"), ("", "b", "b"), ("T", "", "T"), ("", "", "")]
)
def test_contents_join_title_and_text_without_stray_blanks(title, text, contents):
    assert Document("d", text, title).contents == contents


@given(st.lists(st.lists(st.integers(-1, 4), min_size=3, max_size=3), min_size=1, max_size=5))
def test_a_ranking_keeps_the_order_and_drops_the_rows_of_minus_one(rows):
    matrix = np.array(rows)
    scores = -np.arange(matrix.size, dtype=float).reshape(matrix.shape)
    ranking = Ranking.from_rows([str(at) for at in range(len(rows))], matrix, scores, "abcde")
    assert len(ranking) == len(rows)
    for (query, hits), row, row_scores in zip(ranking, rows, scores.tolist(), strict=True):
        kept = [(at, score) for at, score in zip(row, row_scores, strict=True) if at >= 0]
        assert [(hit.document, hit.score) for hit in hits] == [("abcde"[at], score) for at, score in kept]
        assert ranking.documents()[query] == [hit.document for hit in hits]


def test_a_searcher_is_whatever_can_search():
    class Nothing:
        def search(self, queries: list[Query], k: int) -> Ranking:
            return Ranking(tuple(q.id for q in queries), ((),) * len(queries))

    assert isinstance(Nothing(), Searcher)
    assert not isinstance(object(), Searcher)
