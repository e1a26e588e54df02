"""The click memo: counts decide, ties and strangers belong to the searcher behind it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.data.examples import ExampleContext
from retrograd.search.lexical import Lexical
from retrograd.search.memo import (
    ClickMemo,
    MemoSearcher,
    from_state,
    normalised,
    squashed,
    to_state,
)
from retrograd.types import Corpus, Document, Hit, Query, Ranking

IDS = tuple("abcdef")
ROWS = {document: row for row, document in enumerate(IDS)}
clicks = st.dictionaries(
    st.sampled_from(["one", "two", "three"]),
    st.dictionaries(st.sampled_from([*IDS, "gone"]), st.integers(1, 9), min_size=1),
)
QUERIES = [Query("1", "one"), Query("2", "TWO "), Query("3", "never asked"), Query("4", "")]


def context(queries, qrels):
    return ExampleContext(Corpus(Document(document) for document in IDS), queries, qrels)


class Backwards:
    """Answers every query with the last documents of the corpus, and cannot score given ones."""

    def search(self, queries, k):
        hits = tuple(Hit(document, float(row)) for row, document in reversed(list(enumerate(IDS))))[:k]
        return Ranking(tuple(query.id for query in queries), (hits,) * len(queries))


class BackwardsScorer(Backwards):
    """The same, and it can."""

    def score(self, queries, candidates):
        return [np.array([ROWS[document] for document in ids], np.float32) for ids in candidates]


@given(clicks)
def test_a_state_keeps_the_memory(memory):
    assert from_state(to_state(memory)) == memory
    assert from_state({}) == {}


@given(clicks, st.integers(1, 8), st.integers(1, 8))
def test_counts_decide_then_the_searcher_behind(memory, k, depth):
    searcher = MemoSearcher(memory, BackwardsScorer(), ROWS, depth)
    for query, hits in zip(QUERIES, searcher.search(QUERIES, k).hits, strict=True):
        counts = {d: n for d, n in memory.get(normalised(query.text), {}).items() if d in ROWS}
        wanted = sorted(ROWS, key=lambda document: (-counts.get(document, 0), -ROWS[document]))
        assert [hit.document for hit in hits] == wanted[:k]


@given(clicks, st.integers(1, 8))
def test_a_text_never_seen_gets_the_answer_of_the_searcher_behind(memory, k):
    strangers = QUERIES[2:]
    assert MemoSearcher(memory, Backwards(), ROWS, 100).search(strangers, k) == Backwards().search(
        strangers, k
    )


def test_without_scores_remembered_documents_that_were_not_found_come_last_of_their_count():
    memory = {"one": {"a": 2, "b": 2, "f": 2, "e": 3}}
    hits = MemoSearcher(memory, Backwards(), ROWS, 2).search(QUERIES[:1], 2).hits[0]
    assert [hit.document for hit in hits] == ["e", "f"]
    hits = MemoSearcher(memory, Backwards(), ROWS, 2).search(QUERIES[:1], 4).hits[0]
    assert [hit.document for hit in hits] == ["e", "f", "a", "b"]


def test_spellings_of_one_query_are_added_up_and_nothing_irrelevant_is_kept():
    queries = [Query("1", "Hair  Spray"), Query("2", "hair spray"), Query("3", " "), Query("4", "soap")]
    qrels = {"1": {"a": 2, "b": 0}, "2": {"a": 3, "c": 1}, "3": {"a": 9}, "4": {"b": -1}}
    assert from_state(ClickMemo(then=Lexical()).learn(context(queries, qrels))) == {
        "hair spray": {"a": 5, "c": 1}
    }


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_squashing_keeps_the_order(one, two):
    low, high = sorted([one, two])
    assert 0 < squashed(low) <= squashed(high) < 1


def test_a_depth_below_one_is_refused():
    with pytest.raises(ValueError, match="depth=0"):
        ClickMemo(then=Lexical(), depth=0)
