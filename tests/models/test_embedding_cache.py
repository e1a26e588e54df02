import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from retrograd.models import embedding_cache
from retrograd.models.embedding_cache import CachedEncoder, EmbeddingCache, cache_folder, cached
from retrograd.models.tfidf_svd import TfidfSvd


class Counting:
    """Vectors from the bytes of a text; remembers what it was asked."""

    dimensions = 4

    def __init__(self, fingerprint="one", fail_after=10**9):
        self.fingerprint, self.fail_after, self.asked = fingerprint, fail_after, []

    def encode_query(self, texts):
        if len(self.asked) >= self.fail_after:
            raise KeyboardInterrupt
        self.asked += texts
        return np.array([[len(text), 1, 2, sum(map(ord, text)) % 97] for text in texts], np.float32)

    def encode_document(self, texts):
        return -self.encode_query(texts)


def hammer(folder: str) -> None:
    encoder = cached(Counting(), Path(folder))
    for start in range(0, 40, 4):
        encoder.encode_query([f"text {n}" for n in range(start, start + 8)])


def test_a_text_is_encoded_once_whatever_order_it_comes_in(tmp_path):
    plain, counting = Counting(), Counting()
    texts = ["b", "a", "long text", "a", "\ud800"]
    first = cached(counting, tmp_path).encode_query(texts)
    again = cached(counting, tmp_path).encode_query([*texts[::-1], "new"])
    np.testing.assert_array_equal(first, plain.encode_query(texts))
    np.testing.assert_array_equal(again[:-1], first[::-1])
    assert sorted(counting.asked) == sorted([*set(texts), "new"])


def test_roles_and_encoders_do_not_mix_unless_the_encoder_is_symmetric(tmp_path):
    one, two = cached(Counting(), tmp_path), cached(Counting("two"), tmp_path)
    assert (one.encode_query(["b", "a"]) == -one.encode_document(["b", "a"])).all()
    two.encode_query(["b", "a"])
    assert two.encoder.asked == ["b", "a"]
    both = Counting("three")
    both.symmetric = True
    cached(both, tmp_path).encode_query(["b", "a"])
    cached(both, tmp_path).encode_document(["a", "b"])
    assert both.asked == ["b", "a"]


def test_a_single_text_leaves_no_trace_on_disk(tmp_path):
    counting = Counting()
    cached(counting, tmp_path / "cache").encode_query(["a"])
    cached(counting, tmp_path / "cache").encode_query(["a"])
    assert counting.asked == ["a", "a"]
    assert not (tmp_path / "cache").exists()


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(embedding_cache, "CHUNK", 4)
    texts = [f"text {n}" for n in range(10)]
    with pytest.raises(KeyboardInterrupt):
        cached(Counting(fail_after=8), tmp_path).encode_query(texts)
    counting = Counting()
    cached(counting, tmp_path).encode_query(texts)
    assert counting.asked == texts[8:]


def test_damage_is_dropped_with_a_warning_and_costs_no_result(tmp_path):
    texts = [f"text {n}" for n in range(50)]
    wanted = Counting().encode_query(texts)
    path = tmp_path / "embeddings.sqlite"
    for at in ("header", "middle", "everything"):
        cached(Counting(), tmp_path).encode_query(texts)
        content = bytearray(path.read_bytes())
        if at == "everything":
            content = bytearray(b"not a database at all, " * 100)
        else:
            place = content.find(wanted[20].tobytes()) if at == "middle" else 0
            content[place] ^= 255
        path.write_bytes(content)
        with pytest.warns(UserWarning, match="damaged"):
            np.testing.assert_array_equal(cached(Counting(), tmp_path).encode_query(texts), wanted)
        fresh = Counting()
        cached(fresh, tmp_path).encode_query(texts)
        assert not fresh.asked


def test_a_folder_that_cannot_be_made_is_left_out_with_a_warning(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="going on without"):
        assert cached(Counting(), tmp_path / "file" / "cache").encode_query(["a", "b"]).shape == (2, 4)


def test_two_processes_share_one_cache(tmp_path):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=hammer, args=(str(tmp_path),)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    counting = Counting()
    cached(counting, tmp_path).encode_query([f"text {n}" for n in range(44)])
    assert not counting.asked


def test_no_texts_need_no_encoder(tmp_path):
    assert cached(Counting(), tmp_path).encode_document([]).shape == (0, 4)


def test_what_need_not_be_cached_is_not(tmp_path):
    once = cached(Counting(), tmp_path)
    assert cached(once) is once
    assert isinstance(once, CachedEncoder)
    tfidf = TfidfSvd(dimensions=2).build(TfidfSvd(dimensions=2).fit(["a b"]))
    assert cached(tfidf) is tfidf


def test_the_folder_is_named_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("RETROGRAD_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"
    monkeypatch.delenv("RETROGRAD_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "retrograd"


def test_storing_is_all_or_nothing_and_twice_is_once(tmp_path):
    cache = EmbeddingCache(tmp_path / "c.sqlite")
    vector = np.arange(3, dtype=np.float32)
    cache.put({b"k": vector})
    cache.put({b"k": vector})
    np.testing.assert_array_equal(cache.get([b"k", b"other"], 3)[b"k"], vector)
    assert set(cache.get([b"k", b"other"], 3)) == {b"k"}
