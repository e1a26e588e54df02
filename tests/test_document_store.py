"""The document store: documents come back in order, every flipped byte is noticed, writes are atomic."""

import random

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd import document_store
from retrograd.document_store import DocumentStore
from retrograd.errors import ArtifactError, InputError, StorageError
from retrograd.types import Corpus, Document

text = st.text(st.characters(exclude_categories=["Cs"]))
documents = st.lists(
    st.builds(
        Document,
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
        text,
        text,
        st.dictionaries(text, st.one_of(st.none(), st.integers(), text), max_size=2),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda document: document.id,
)


def small_corpus(number: int = 200) -> Corpus:
    return Corpus([Document(f"d{row}", "some text " * 20, "title", {"row": row}) for row in range(number)])


@given(documents)
def test_documents_come_back_in_their_order(tmp_path_factory, given_documents):
    path = tmp_path_factory.mktemp("store") / "documents.sqlite"
    store = DocumentStore.create(path, Corpus(given_documents))
    assert list(store.corpus()) == given_documents
    assert [store.get(document.id) for document in given_documents] == given_documents
    store.close()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_an_unknown_id_is_named(tmp_path):
    store = DocumentStore.create(tmp_path / "documents.sqlite", small_corpus(1))
    with pytest.raises(InputError, match="'nobody'"):
        store.get("nobody")


def test_same_documents_give_the_same_bytes(tmp_path):
    for name in "ab":
        DocumentStore.create(tmp_path / name, small_corpus()).close()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_flipped_byte_is_noticed_on_reading_everything(tmp_path):
    path = tmp_path / "documents.sqlite"
    DocumentStore.create(path, small_corpus()).close()
    content = path.read_bytes()
    draw = random.Random(0)
    for at in [*range(0, 100, 4), *(draw.randrange(len(content)) for _ in range(100))]:
        damaged = bytearray(content)
        damaged[at] ^= draw.randrange(1, 256)
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match=r"documents\.sqlite"):
            read_all(path)


def read_all(path) -> None:
    """Read all documents; pages no document lives on are reached by the id index."""
    store = DocumentStore.open(path)
    try:
        for document in store.corpus():
            store.get(document.id)
    finally:
        store.close()


@pytest.mark.parametrize("content", [None, b"", b"no database at all", b"SQLite format 3\0" + b"\1" * 500])
def test_a_file_that_is_no_store_is_named(tmp_path, content):
    path = tmp_path / "documents.sqlite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"documents\.sqlite"):
        DocumentStore.open(path)


def test_a_database_without_checksums_is_foreign(tmp_path):
    path = tmp_path / "documents.sqlite"
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE documents (id)")
    connection.close()
    with pytest.raises(ArtifactError, match="no checksums"):
        DocumentStore.open(path)


def test_other_databases_keep_their_own_vfs(tmp_path):
    DocumentStore.create(tmp_path / "documents.sqlite", small_corpus(1)).close()
    connection = apsw.Connection(str(tmp_path / "other.sqlite"))
    assert connection.reserve_bytes() == 0
    assert apsw.vfs_names()[0] != "cksmvfs"


@pytest.mark.parametrize("failing", [apsw.FullError("disk full"), OSError(28, "No space left on device")])
def test_a_full_disk_leaves_the_old_store(tmp_path, monkeypatch, failing):
    path = tmp_path / "documents.sqlite"
    DocumentStore.create(path, small_corpus(3)).close()

    def refuse(*_: object) -> None:
        raise failing

    larger = small_corpus(9)
    with monkeypatch.context() as patch:
        patch.setattr(document_store, "fsync", refuse)
        with pytest.raises(StorageError, match=r"documents\.sqlite"):
            DocumentStore.create(path, larger)
    assert len(DocumentStore.open(path).corpus()) == 3
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_text_that_is_no_unicode_names_its_document(tmp_path):
    corpus = Corpus([Document("bad", "\ud800")])
    with pytest.raises(InputError, match="'bad'"):
        DocumentStore.create(tmp_path / "documents.sqlite", corpus)
    assert list(tmp_path.iterdir()) == []


def test_a_corpus_larger_than_the_page_cache_comes_back_whole(tmp_path):
    corpus = Corpus([Document(str(row), f"{row} " * 2000) for row in range(1000)])
    store = DocumentStore.create(tmp_path / "documents.sqlite", corpus)
    assert list(store.corpus()) == list(corpus)
    store.close()
