"""Adapters on a real live system: what they see is its current generation."""

import numpy as np
import pytest

from retrograd.adapters.codes import codes_of
from retrograd.adapters.faiss_export import export_codes, export_vectors, read_index
from retrograd.adapters.parquet import read_parquet, write_parquet
from retrograd.adapters.pyterrier import Retriever
from retrograd.adapters.qdrant import Moved, QdrantCollection
from retrograd.adapters.sentence_encoder import VectorEncoder
from retrograd.adapters.source import keys_of, query_vectors
from retrograd.types import Document
from retrograd.updates.live import LiveSystem
from tests.adapters.systems import QUERIES, answers, fitted

for library in ("pandas", "faiss", "pyarrow", "qdrant_client"):
    pytest.importorskip(library)

TEXTS = [query.text for query in QUERIES]


@pytest.fixture
def live(request, tmp_path):
    fitted(getattr(request, "param", "dense")).save(tmp_path / "system")
    with LiveSystem.open(tmp_path / "system") as opened:
        yield opened


def test_exports_hold_the_current_generation(live, tmp_path):
    live.delete(["0", "d9"])
    live.put([Document("new", "music and sound in a film", "music"), Document("d7", "depth of an image")])
    export_vectors(live, tmp_path / "index.faiss")
    found = read_index(tmp_path / "index.faiss").search(query_vectors(live.system, TEXTS), 10)
    assert answers(found) == answers(live.search(QUERIES, 10))
    write_parquet(live, tmp_path / "all.parquet")
    assert list(read_parquet(tmp_path / "all.parquet").corpus) == list(live.system.corpus)


def test_a_transformer_and_a_collection_follow_changes_and_rollbacks(live):
    import pandas

    asked = pandas.DataFrame([[query.id, query.text] for query in QUERIES], columns=["qid", "query"])
    retriever = Retriever(live, num_results=10)
    collection = QdrantCollection.connect(":memory:", "documents")
    collection.upload(live)
    searcher = collection.searcher(live)

    def steps():
        yield lambda: live.put([Document("new", "music and sound in a film", "music")]), Moved(1, 0)
        yield lambda: live.delete(["0", "d9"]), Moved(0, 2)
        yield lambda: live.rollback(0), Moved(2, 1)

    for change, moved in steps():
        before = live.system
        change()
        assert collection.follow(before, live) == moved
        expected = answers(live.search(QUERIES, 10))
        assert answers(searcher.search(QUERIES, 10)) == expected
        frame = retriever.transform(asked)
        assert [rows["docno"].tolist() for _, rows in frame.groupby("qid")] == expected


@pytest.mark.parametrize("live", ["ultron_pq", "dgi"], indirect=True)
def test_docids_and_codes_are_those_of_the_current_generation(live, tmp_path):
    live.delete(["0", "d9"])
    live.put([Document("new", "music and sound in a film", "music"), Document("d7", "depth of an image")])
    system = live.system
    write_parquet(live, tmp_path / "all.parquet")
    export = read_parquet(tmp_path / "all.parquet")
    assert export.corpus.ids == system.corpus.ids
    for row, keys in enumerate(keys_of(system, system.corpus.ids)):
        assert keys
        assert sorted(export.table.key(int(key)) for key in export.table.keys_of(row)) == sorted(keys)
    assert export_codes(live, tmp_path / "codes.faiss") == len(system.corpus)
    stored = read_index(tmp_path / "codes.faiss").index.reconstruct_n(0, len(system.corpus))
    np.testing.assert_allclose(stored, codes_of(system).decode(), atol=1e-6)


def test_a_saved_encoder_is_the_current_generation(live, tmp_path):
    live.delete(["0"])
    VectorEncoder(live).save_pretrained(tmp_path / "kept")
    opened = VectorEncoder.from_pretrained(tmp_path / "kept").system
    assert opened.corpus.ids == live.system.corpus.ids
    assert answers(opened.search(QUERIES, 10)) == answers(live.search(QUERIES, 10))
