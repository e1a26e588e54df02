"""PyTerrier's frames in, the library's own rankings out."""

import importlib.util
import sys

import pytest

from retrograd.adapters.pyterrier import Retriever
from retrograd.errors import InputError
from tests.adapters.systems import CORPUS, QUERIES, Changing, answers, fitted, scores, without

pandas = pytest.importorskip("pandas")


def topics(**columns):
    """The queries as a frame."""
    frame = pandas.DataFrame([[q.id, q.text] for q in QUERIES], columns=["qid", "query"])
    return frame.assign(**columns)


@pytest.mark.parametrize("name", ["dense", "bm25", "hybrid", "ultron_pq"])
def test_rankings_are_the_librarys_own(name):
    system = fitted(name)
    found = Retriever(system, num_results=7).transform(topics())
    ranking = system.search(QUERIES, k=7)
    assert list(found.columns) == ["qid", "query", "docno", "score", "rank"]
    by_query = dict(list(found.groupby("qid", sort=False)))
    for (qid, hits), query in zip(ranking, QUERIES, strict=True):
        if not hits:
            assert qid not in by_query
            continue
        rows = by_query[qid]
        assert rows["docno"].tolist() == [hit.document for hit in hits]
        assert rows["score"].tolist() == [hit.score for hit in hits]
        assert rows["rank"].tolist() == list(range(len(hits)))
        assert set(rows["query"]) == {query.text}


def test_more_results_than_documents_gives_each_document_once():
    found = Retriever(fitted("dense"), num_results=1000).transform(topics().head(1))
    assert sorted(found["docno"]) == sorted(CORPUS.ids)


def test_other_columns_of_the_queries_are_kept():
    found = Retriever(fitted("dense"), num_results=2).transform(topics(title=list("abcde"), weight=1.5))
    assert list(found.columns) == ["qid", "query", "title", "weight", "docno", "score", "rank"]
    assert found["title"].tolist() == [letter for letter in "abcde" for _ in range(2)]


def test_answers_of_an_earlier_stage_are_replaced_and_each_query_is_asked_once():
    first = Retriever(fitted("bm25"), num_results=5).transform(topics(query_0="before", body="of a document"))
    again = Retriever(fitted("dense"), num_results=3).transform(first.assign(docid=7))
    assert list(again.columns) == ["qid", "query", "query_0", "docno", "score", "rank"]
    assert again.groupby("qid").size().eq(3).all()


def test_a_missing_query_gets_no_answer_and_a_warning():
    asked = pandas.DataFrame({"qid": [1, 2, 3], "query": ["depth image", None, float("nan")]})
    with pytest.warns(UserWarning, match="2 queries have no text"):
        found = Retriever(fitted("dense"), num_results=2).transform(asked)
    assert found["qid"].tolist() == [1, 1]


def test_nothing_asked_gives_an_empty_frame_with_every_column():
    found = Retriever(fitted("dense")).transform(topics().head(0))
    assert len(found) == 0
    assert list(found.columns) == ["qid", "query", "docno", "score", "rank"]
    assert (found["score"].dtype, found["rank"].dtype) == ("float64", "int64")


def test_the_frame_that_was_given_is_left_alone():
    asked = topics()
    Retriever(fitted("dense"), num_results=2).transform(asked)
    pandas.testing.assert_frame_equal(asked, topics())


@pytest.mark.parametrize(
    "frame, said",
    [
        ({"qid": ["1"], "text": ["x"]}, "needs the columns qid and query; it has qid, text"),
        ({}, "it has none"),
        ({"qid": ["1"], "query": [7]}, "the query of qid '1' must be text, not int"),
        ({"qid": ["1"], "query": [["a"]]}, "must be text, not list"),
        ({"qid": ["1", "1"], "query": ["a", "b"]}, "qid '1' stands for more than one query"),
    ],
)
def test_a_frame_that_cannot_be_asked_is_refused(frame, said):
    with pytest.raises(InputError, match=said):
        Retriever(fitted("dense")).transform(pandas.DataFrame(frame))


def test_fewer_than_one_result_is_refused():
    with pytest.raises(InputError, match="num_results=0"):
        Retriever(fitted("dense"), num_results=0)


def test_histories_reach_the_system():
    class Echo:
        def search(self, queries, k):
            assert [query.history for query in queries] == [("d7", "d8"), ()]
            return fitted("dense").search(queries, k)

    asked = topics().head(2).assign(history=[["d7", "d8"], None])
    assert len(Retriever(Echo(), num_results=1).transform(asked)) == 2


def test_a_live_system_is_asked_anew():
    class Live(Changing):
        def search(self, queries, k):
            return self.system.search(queries, k)

    live = Live(fitted("dense"))
    retriever = Retriever(live, num_results=3)
    first = retriever.transform(topics().head(1))["docno"].tolist()
    live.system = without(live.system, first[0])
    assert retriever.transform(topics().head(1))["docno"].tolist()[:2] == first[1:]


def test_operators_of_pyterrier_work_on_it_and_java_is_not_started():
    pt = pytest.importorskip("pyterrier", reason="python-terrier is not installed (extra pyterrier)")
    dense, bm25 = Retriever(fitted("dense"), num_results=9), Retriever(fitted("bm25"), num_results=9)
    assert isinstance(dense, pt.Transformer)
    cut = (dense % 3)(topics())
    assert cut.groupby("qid").size().eq(3).all()
    expected = answers(fitted("dense").search(QUERIES, k=3))
    assert [rows.sort_values("rank")["docno"].tolist() for _, rows in cut.groupby("qid")] == expected
    summed = (dense + bm25)(topics().head(1))
    both = {hit.document: hit.score for hit in fitted("bm25").search(QUERIES[:1], k=9).hits[0]}
    for hit in fitted("dense").search(QUERIES[:1], k=9).hits[0]:
        both[hit.document] = both.get(hit.document, 0) + hit.score
    assert dict(zip(summed["docno"], summed["score"], strict=True)) == pytest.approx(both)
    piped = (bm25 >> dense)(topics())
    assert set(piped["qid"]) <= {query.id for query in QUERIES}
    assert (
        dense.search("depth of an image")["docno"].tolist()
        == answers(fitted("dense").search(["depth of an image"], k=9))[0]
    )
    assert not pt.java.started()


def test_an_experiment_of_pyterrier_measures_it():
    pt = pytest.importorskip("pyterrier", reason="python-terrier is not installed (extra pyterrier)")
    qrels = pandas.DataFrame([["q5", "d10", 0], ["q5", CORPUS[3].id, 1]], columns=["qid", "docno", "label"])
    table = pt.Experiment(
        [Retriever(fitted("dense"))], topics().tail(1), qrels, ["recip_rank"], names=["dense"]
    )
    assert table["recip_rank"].tolist() == [1.0]


def test_without_pyterrier_it_transforms_all_the_same(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyterrier", None)
    source = importlib.util.find_spec("retrograd.adapters.pyterrier").origin
    spec = importlib.util.spec_from_file_location("retriever_alone", source)
    alone = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(alone)
    assert alone.Retriever.__bases__ == (object,)
    found = alone.Retriever(fitted("dense"), 3).transform(topics())
    pandas.testing.assert_frame_equal(found, Retriever(fitted("dense"), 3).transform(topics()))


def test_scores_never_rise_along_a_ranking():
    for name in ("dense", "bm25", "hybrid"):
        for some in scores(fitted(name).search(QUERIES, k=20)):
            assert some == sorted(some, reverse=True), name
