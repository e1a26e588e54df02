"""One battery over every searcher: what a caller may rely on, whichever system answers.

A searcher is tested by being listed in `SEARCHERS`.
"""

import re
import zlib

import numpy as np
import pytest

from retrograd.data.examples import PseudoQueries
from retrograd.indexes.faiss_index import Hnsw, Ivf
from retrograd.search.combine import Fuse, Rerank
from retrograd.search.history import WithHistory
from retrograd.search.lexical import Lexical
from retrograd.search.memo import ClickMemo, to_state
from retrograd.search.nearest import Nearest
from retrograd.search.parts import Parts
from retrograd.search.tree_search import TreeSearch
from retrograd.types import Corpus, Document, Query, Searcher, best_rows

SEARCHERS = (
    Lexical(),
    Nearest(),
    Nearest(index=Hnsw()),
    Nearest(index=Ivf(lists=4, probes=4)),
    Fuse(parts=(Lexical(), Nearest())),
    Fuse(parts=(Lexical(), Nearest()), rule="z_score", weights=(1.0, 0.5), depth=7),
    Rerank(first=Lexical(), by=Nearest()),
    Lexical(expansion=PseudoQueries(per_document=2)),
    ClickMemo(then=Lexical(), depth=7),
    ClickMemo(then=Fuse(parts=(Lexical(), Nearest()))),
    WithHistory(search=ClickMemo(then=Nearest())),
    Rerank(first=ClickMemo(then=Lexical()), by=WithHistory(search=Nearest())),
    Rerank(first=Fuse(parts=(Lexical(), Nearest())), by=Nearest(index=Hnsw()), depth=9),
    TreeSearch(branching=(4, 4), width=2),
    TreeSearch(branching=(3,), width=1, planner=Lexical()),
)

WORDS = ["wing", "flow", "shock", "heat", "layer", "jet", "plate", "wave", "drag", "lift"]
QUERIES = tuple(
    Query(f"q{number}", text)
    for number, text in enumerate(
        ("wing flow", "", "shock heat layer", "unknown", "jet jet lift?", "wing flow")
    )
)


class CountedWords:
    """A vector model that needs no weights: hashed word counts, normalised; no word is a zero vector."""

    def query_vectors(self, texts):
        counts = np.zeros((len(texts), 32), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                counts[row, zlib.crc32(word.encode()) % 32] += 1
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1)

    document_vectors = query_vectors


def make_parts(folder, count: int) -> Parts:
    rng = np.random.default_rng([7, count])
    texts = [" ".join(rng.choice(WORDS, size=6)) for _ in range(count // 2 + 1)] * 2  # every text twice: ties
    corpus = Corpus(Document(f"d{count - row:02}", texts[row]) for row in range(count))
    clicks = to_state({"wing flow": {"d01": 2, "d05": 2, "d09": 1}, "unknown": {"d03": 1}})
    memory = {f"{ClickMemo.memory}.{name}": array for name, array in clicks.items()}
    return Parts(corpus=corpus, model=CountedWords(), folder=folder, learnt=memory)


@pytest.fixture(scope="module", params=SEARCHERS, ids=repr)
def searcher(request, tmp_path_factory) -> Searcher:
    return request.param.build(make_parts(tmp_path_factory.mktemp("system"), 40))


def answers(searcher: Searcher, queries, k: int):
    return [hits for _, hits in searcher.search(queries, k)]


def test_it_keeps_the_protocol_and_the_order_of_the_queries(searcher):
    assert isinstance(searcher, Searcher)
    assert searcher.search(QUERIES, 3).query_ids == tuple(query.id for query in QUERIES)


@pytest.mark.parametrize("k", [1, 2, 10])
def test_as_many_as_k_are_returned_where_there_are_as_many(searcher, k):
    for some, more in zip(answers(searcher, QUERIES, k), answers(searcher, QUERIES, 40), strict=True):
        assert len(some) == min(k, len(more))
    assert answers(searcher, QUERIES[:1], 3)[0] != ()


def test_a_k_beyond_the_corpus_returns_what_there_is(searcher):
    assert all(len(hits) <= 40 for hits in answers(searcher, QUERIES, 1000))
    assert len(answers(searcher, QUERIES, 1000)[0]) >= 1


def test_no_document_comes_twice_and_scores_never_rise(searcher):
    for hits in answers(searcher, QUERIES, 30):
        assert len({hit.document for hit in hits}) == len(hits)
        scores = [hit.score for hit in hits]
        assert scores == sorted(scores, reverse=True)
        assert np.isfinite(scores).all()


@pytest.mark.parametrize("k", [1, 7, 60])
def test_matrices_hold_the_same_ranking(searcher, k):
    row_of = make_parts(None, 40).corpus.row_of
    scores, rows = best_rows(searcher, QUERIES, k, row_of)
    assert scores.shape == rows.shape == (len(QUERIES), k)
    for (_, hits), own_scores, own_rows in zip(searcher.search(QUERIES, k), scores, rows, strict=True):
        assert [row_of[hit.document] for hit in hits] == own_rows[own_rows >= 0].tolist()
        assert [hit.score for hit in hits] == own_scores[own_rows >= 0].tolist()
        assert (own_rows[len(hits) :] == -1).all()


def test_equal_scores_keep_the_order_of_the_corpus(searcher):
    row_of = make_parts(None, 40).corpus.row_of
    for hits in answers(searcher, QUERIES, 30):
        order = [(-hit.score, row_of[hit.document]) for hit in hits]
        assert order == sorted(order)


def test_a_batch_answers_like_single_queries(searcher):
    assert answers(searcher, QUERIES, 10) == [answers(searcher, [query], 10)[0] for query in QUERIES]


def test_no_query_gives_an_empty_ranking(searcher):
    assert len(searcher.search([], 5)) == 0


def test_a_query_of_100_000_characters_is_answered(searcher):
    (hits,) = answers(searcher, [Query("long", " ".join(WORDS * 2500)[:100_000])], 5)
    assert len(hits) == 5


@pytest.mark.parametrize("config", SEARCHERS, ids=repr)
def test_two_builds_answer_alike(config, tmp_path):
    one, two = (config.build(make_parts(tmp_path / name, 40)) for name in ("one", "two"))
    assert one.search(QUERIES, 20) == two.search(QUERIES, 20)


@pytest.mark.parametrize("config", SEARCHERS, ids=repr)
def test_building_again_from_what_was_kept_answers_alike(config, tmp_path):
    parts = make_parts(tmp_path, 40)
    first = config.build(parts).search(QUERIES, 20)
    assert config.build(parts).search(QUERIES, 20) == first


@pytest.mark.parametrize("config", SEARCHERS, ids=repr)
def test_a_corpus_of_one_document_is_found(config, tmp_path):
    corpus = Corpus([Document("only", "wing flow")])
    searcher = config.build(Parts(corpus=corpus, model=CountedWords(), folder=tmp_path))
    assert searcher.search([Query("q", "wing")], 10).documents() == {"q": ["only"]}
