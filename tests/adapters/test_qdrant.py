"""What Qdrant answers is what the library answers, before and after the documents change."""

from dataclasses import replace

import numpy as np
import pytest

from retrograd.adapters.qdrant import Moved, QdrantCollection, point_id
from retrograd.adapters.source import keys_of
from retrograd.errors import InputError, StorageError
from retrograd.search.filtered import Fields, search_allowed
from retrograd.system import System
from retrograd.types import Corpus, Document, Searcher
from tests.adapters.systems import CORPUS, QUERIES, Changing, answers, fitted, scores, without

client = pytest.importorskip("qdrant_client", reason="qdrant-client is not installed (extra qdrant)")


@pytest.fixture
def collection():
    return QdrantCollection.connect(":memory:", "documents", batch=16)


def same(found, expected):
    """The same documents in the same order, scores equal but for the last bits of single precision."""
    assert answers(found) == answers(expected)
    for one, two in zip(scores(found), scores(expected), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


@pytest.mark.parametrize("name", ["dense", "dual_encoder"])
@pytest.mark.parametrize("k", [1, 10, 1000])
def test_rankings_are_the_librarys_own(collection, name, k):
    system = fitted(name)
    assert collection.upload(system) == Moved(put=len(CORPUS), deleted=0)
    searcher = collection.searcher(system)
    assert isinstance(searcher, Searcher)
    same(searcher.search(QUERIES, k), system.search(QUERIES, k))
    assert len(searcher.search([], k)) == 0


def test_twins_keep_the_order_of_the_corpus(collection):
    system = fitted("dense")
    collection.upload(system)
    for k in (1, 2):
        assert answers(collection.searcher(system).search(QUERIES[4:], k)) == [
            [document.id for document in CORPUS[3 : 3 + k]]
        ]


def test_uploading_twice_changes_nothing(collection):
    collection.upload(fitted("dense"))
    assert collection.upload(fitted("dense")) == Moved(put=len(CORPUS), deleted=0)
    assert collection.count() == len(CORPUS)


def test_a_point_carries_its_document_and_its_docids(collection):
    system = fitted("dgi")
    collection.upload(system)
    (point,) = collection.client.retrieve(collection.name, [point_id("d7")], with_vectors=True)
    document = CORPUS[CORPUS.row_of["d7"]]
    keys = keys_of(system, ["d7"])[0]
    assert point.payload == {
        "id": "d7",
        "title": document.title,
        "text": document.text,
        "metadata": document.metadata,
        "paths": [list(key) for key in keys],
        "labels": [system.table.describe(key) for key in keys],
    }
    assert len(point.vector) == 16


def test_a_point_id_depends_on_the_document_id_alone_today_and_tomorrow():
    assert point_id("日本語 1") == "6a8abb77-3f8c-520c-be2a-d9bf6bada941"
    assert len({point_id(id) for id in CORPUS.ids}) == len(CORPUS)


def changed(system: System) -> System:
    """Two documents less, one new, one with other words, one with other metadata alone."""
    kept = [document for document in system.corpus if document.id not in ("0", "d9", "d12", "d15")]
    added = [
        Document("new", "music of a plot", "music"),
        replace(CORPUS[12], text="depth depth depth"),
        replace(CORPUS[15], metadata={"year": 1999}),
    ]
    parts = replace(system.parts, corpus=Corpus([*kept, *added]), arrays={})
    return System.assemble(system.recipe, parts, system.fitted, system.manifest)


def test_following_a_change_moves_only_what_differs(collection):
    before, after = fitted("dense"), changed(fitted("dense"))
    collection.upload(before)
    assert collection.follow(before, after) == Moved(put=3, deleted=2)
    same(collection.searcher(after).search(QUERIES, 10), after.search(QUERIES, 10))
    assert collection.follow(after, before) == Moved(put=4, deleted=1)
    same(collection.searcher(before).search(QUERIES, 10), before.search(QUERIES, 10))
    assert collection.follow(before, before) == Moved(put=0, deleted=0)


def test_uploading_another_state_leaves_exactly_that(collection):
    after = changed(fitted("dense"))
    collection.upload(fitted("dense"))
    assert collection.upload(after) == Moved(put=len(after.corpus), deleted=2)
    assert collection.count() == len(after.corpus)
    same(collection.searcher(after).search(QUERIES, 100), after.search(QUERIES, 100))


def test_what_the_system_no_longer_holds_is_not_answered(collection):
    live = Changing(fitted("dense"))
    collection.upload(live)
    searcher = collection.searcher(live)
    gone = answers(searcher.search(QUERIES[:1], 2))[0]
    live.system = without(live.system, *gone)
    same(searcher.search(QUERIES, 10), live.system.search(QUERIES, 10))


@pytest.mark.parametrize(
    "where",
    [
        {"year": 2001},
        {"year": "2001"},
        {"year": 2001.0},
        {"year": [2000, 2002], "free": True},
        {"free": "true"},
        {"free": [True, False]},
        {"tags": "music"},
        {"tags": ("image", "film"), "year": {2000}},
        {"cost": 2.25},
        {"cost": [2, "2.5", 7]},
        {"id": ["🙂", 'quo"te', "d7"]},
        {"title": CORPUS[8].title, "year": 2002},
        {"year": []},
        {"tags": "nobody"},
        {},
    ],
    ids=str,
)
def test_filters_allow_what_the_librarys_own_allow(collection, where):
    system = fitted("dense")
    collection.upload(system)
    allowed = Fields(CORPUS).allowed(where)
    expected = search_allowed(system.searcher, QUERIES, 5, allowed, CORPUS.row_of)
    same(collection.searcher(system).search(QUERIES, 5, where=where), expected)


@pytest.mark.parametrize("where", [{"year": None}, {"year": [{"a": 1}]}, {'ye"ar': 1}, {"": 1}], ids=str)
def test_a_filter_that_is_none_is_refused(collection, where):
    collection.upload(fitted("dense"))
    with pytest.raises(InputError, match="filter"):
        collection.searcher(fitted("dense")).search(QUERIES, 5, where=where)


def test_what_cannot_be_uploaded_or_asked_is_one_line(collection):
    with pytest.raises(InputError, match="'bm25' has no document vectors"):
        collection.upload(fitted("bm25"))
    with pytest.raises(StorageError, match="Qdrant, collection 'documents'"):
        collection.searcher(fitted("dense")).search(QUERIES, 5)
    with pytest.raises(StorageError, match="Qdrant, collection 'documents'"):
        collection.count()
    with pytest.raises(InputError, match="k=0"):
        collection.searcher(fitted("dense")).search(QUERIES, 0)
    with pytest.raises(InputError, match="batch=0"):
        QdrantCollection.connect(":memory:", "x", batch=0)


def test_a_collection_of_other_vectors_is_left_alone(collection):
    models = pytest.importorskip("qdrant_client.models")
    space = models.VectorParams(size=3, distance=models.Distance.COSINE)
    collection.client.create_collection(collection.name, vectors_config=space)
    with pytest.raises(InputError, match="has other vectors than 16 numbers"):
        collection.upload(fitted("dense"))
    assert collection.count() == 0


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_a_server_that_does_not_answer_is_one_line_without_the_key():
    far = QdrantCollection.connect("http://127.0.0.1:9", "documents", api_key="secret-key", timeout_seconds=1)
    with pytest.raises(StorageError, match="Qdrant does not answer") as refusal:
        far.upload(fitted("dense"))
    assert "secret-key" not in str(refusal.value)
    assert "\n" not in str(refusal.value)
