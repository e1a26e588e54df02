"""An exported index, read back, ranks as the library does."""

import json

import numpy as np
import pytest

from retrograd.adapters.codes import codes_of
from retrograd.adapters.faiss_export import export_codes, export_vectors, ids_path, read_index
from retrograd.adapters.source import document_vectors, query_vectors
from retrograd.errors import ArtifactError, InputError
from tests.adapters.systems import CORPUS, QUERIES, Changing, answers, fitted, scores, without

faiss = pytest.importorskip("faiss", reason="faiss is not installed (extra faiss)")

TEXTS = [query.text for query in QUERIES]


@pytest.mark.parametrize("name", ["dense", "dual_encoder"])
@pytest.mark.parametrize("k", [1, 10, 1000])
def test_documents_and_scores_are_the_librarys_own(name, k, tmp_path):
    system = fitted(name)
    assert export_vectors(system, tmp_path / "index.faiss") == len(CORPUS)
    found = read_index(tmp_path / "index.faiss").search(query_vectors(system, TEXTS), k)
    expected = system.search(TEXTS, k=k)
    assert (answers(found), scores(found)) == (answers(expected), scores(expected))


def test_twins_keep_the_order_of_the_corpus_where_the_list_ends_between_them(tmp_path):
    system = fitted("dense")
    export_vectors(system, tmp_path / "index.faiss")
    index, asked = read_index(tmp_path / "index.faiss"), query_vectors(system, [CORPUS[3].contents])
    assert CORPUS[3].contents == CORPUS[4].contents
    assert answers(index.search(asked, 1)) == [[CORPUS[3].id]]
    assert answers(index.search(asked, 2)) == [[CORPUS[3].id, CORPUS[4].id]]


def test_any_faiss_program_reads_the_file(tmp_path):
    system = fitted("dense")
    export_vectors(system, tmp_path / "index.faiss")
    index = faiss.read_index(str(tmp_path / "index.faiss"))
    ids = json.loads(ids_path(tmp_path / "index.faiss").read_text(encoding="utf-8"))["ids"]
    np.testing.assert_array_equal(index.reconstruct_n(0, index.ntotal), document_vectors(system))
    assert tuple(ids) == CORPUS.ids


@pytest.mark.parametrize("factory", ["HNSW8", "IVF2,Flat", "SQ8"])
def test_other_kinds_of_index_find_about_the_same(factory, tmp_path):
    system = fitted("dense")
    export_vectors(system, tmp_path / "index.faiss", factory=factory)
    found = read_index(tmp_path / "index.faiss").search(query_vectors(system, TEXTS[:2]), 10)
    expected = system.search(TEXTS[:2], k=10)
    for one, two in zip(answers(found), answers(expected), strict=True):
        assert len(set(one) & set(two)) >= 5


@pytest.mark.parametrize("name", ["ultron_pq", "generative", "dgi"])
def test_codes_rank_by_the_vectors_they_stand_for(name, tmp_path):
    system = fitted(name)
    codes = codes_of(system)
    assert export_codes(system, tmp_path / "codes.faiss") == len(CORPUS)
    opened = read_index(tmp_path / "codes.faiss")
    stored = opened.index.reconstruct_n(0, len(CORPUS))
    np.testing.assert_allclose(stored, codes.decode(), atol=1e-6)
    asked = codes.query_vectors(TEXTS[:3])
    products = (stored.astype(np.float64) @ asked.T.astype(np.float64)).T.astype(np.float32)
    expected = [[CORPUS.ids[row] for row in np.argsort(-row_of, kind="stable")[:10]] for row_of in products]
    found = opened.search(asked, 10)
    assert answers(found) == expected
    np.testing.assert_allclose(scores(found), -np.sort(-products, axis=1)[:, :10], rtol=1e-6)


def test_a_live_system_is_exported_as_it_is_now(tmp_path):
    live = Changing(fitted("dense"))
    live.system = without(live.system, "0", "d9")
    assert export_vectors(live, tmp_path / "index.faiss") == len(CORPUS) - 2
    found = read_index(tmp_path / "index.faiss").search(query_vectors(live.system, TEXTS), 100)
    assert answers(found) == answers(live.system.search(TEXTS, k=100))


def test_an_export_replaces_the_one_before(tmp_path):
    path = tmp_path / "folder" / "index.faiss"
    export_vectors(fitted("dense"), path)
    export_vectors(without(fitted("dense"), "0"), path)
    assert "0" not in read_index(path).ids
    assert sorted(p.name for p in path.parent.iterdir()) == ["index.faiss", "index.faiss.ids.json"]


def test_every_flipped_byte_is_found_before_faiss_reads_it(tmp_path):
    path = tmp_path / "index.faiss"
    export_vectors(fitted("dense"), path)
    whole = path.read_bytes()
    for at in range(0, len(whole), len(whole) // 20):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match=r"index.faiss: is damaged"):
            read_index(path)


def test_missing_and_foreign_files_are_named(tmp_path):
    path = tmp_path / "index.faiss"
    with pytest.raises(ArtifactError, match=r"index.faiss.ids.json"):
        read_index(path)
    export_vectors(fitted("dense"), path)
    path.unlink()
    with pytest.raises(ArtifactError, match=r"index.faiss: no such file"):
        read_index(path)
    ids_path(path).write_text("[]")
    with pytest.raises(ArtifactError, match="no list of ids"):
        read_index(path)


def test_what_cannot_be_exported_is_one_line(tmp_path):
    path = tmp_path / "index.faiss"
    with pytest.raises(InputError, match="'bm25' has no document vectors"):
        export_vectors(fitted("bm25"), path)
    for factory in ("nonsense", "IVF4000,Flat"):
        with pytest.raises(InputError, match=f"faiss cannot build '{factory}' of 40 vectors") as refusal:
            export_vectors(fitted("dense"), path, factory=factory)
        assert "\n" not in str(refusal.value)
    with pytest.raises(InputError, match="are no codes of vectors"):
        export_codes(fitted("dense"), path)
    assert list(tmp_path.iterdir()) == []


def test_questions_that_do_not_fit_are_refused(tmp_path):
    export_vectors(fitted("dense"), tmp_path / "index.faiss")
    index = read_index(tmp_path / "index.faiss")
    assert len(index.search(np.zeros((0, 16)), 5)) == 0
    for vectors, k in ((np.zeros((1, 15)), 5), (np.zeros(16), 5), (np.zeros((1, 16)), 0)):
        with pytest.raises(InputError, match="must be"):
            index.search(vectors, k)
