"""The tree of docids: counts that agree with counting, words that agree with reading."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.docid_table import DocidTable
from retrograd.docids.append import append_keys
from retrograd.docids.tree import END_LABEL, TypicalTerms, children_of, documents_below
from retrograd.errors import InputError
from retrograd.types import Corpus, Document

KEYS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=25)


@st.composite
def tables(draw):
    """Tables with shared keys, documents of several keys, keys of two lengths, and rows in no order."""
    keys = [key if key[0] else key[:2] for key in draw(KEYS)]
    owners = [draw(st.integers(0, max(at - 1, 0))) if draw(st.booleans()) else at for at in range(len(keys))]
    names = [f"d{row}" for row in range(max(owners) + 1)]
    table = DocidTable.from_keys(keys, owners, names, level_sizes=(3, 3, 3))
    later = [key if key[0] else key[:2] for key in draw(st.lists(KEYS.map(lambda keys: keys[0]), max_size=5))]
    return append_keys(table, later, [f"n{row}" for row in range(len(later))])


def below(table, prefix):
    """(key, its document rows) of every docid that begins so, sorted by key."""
    rows = [row for row in range(len(table)) if table.key(row)[: len(prefix)] == tuple(prefix)]
    return sorted((table.key(row), table.documents_of(row).tolist()) for row in rows)


def prefixes(table):
    return sorted({table.key(row)[:depth] for row in range(len(table)) for depth in range(4)})


@given(tables())
def test_branches_are_what_the_keys_spell(table):
    for prefix in prefixes(table):
        inside = below(table, prefix)
        tokens = sorted({key[len(prefix)] for key, _ in inside if len(key) > len(prefix)})
        branches = children_of(table, prefix)
        assert [branch.token for branch in branches] == tokens
        for branch in branches:
            under = [(key, owners) for key, owners in inside if key[len(prefix)] == branch.token]
            assert branch.keys == len(under)
            assert branch.documents == len({owner for _, owners in under for owner in owners})
            assert branch.leaf == (under[0][0] == (*prefix, branch.token))
            assert branch.label == str(branch.token)


@given(tables(), st.integers(0, 30))
def test_documents_come_once_and_in_the_order_of_their_docids(table, limit):
    for prefix in prefixes(table):
        expected = list(dict.fromkeys(owner for _, owners in below(table, prefix) for owner in owners))
        assert documents_below(table, prefix).tolist() == expected
        assert documents_below(table, prefix, limit).tolist() == expected[:limit]


@given(tables(), st.lists(st.integers(-1, 5) | st.just(10**30), max_size=5))
def test_a_prefix_no_docid_has_is_refused(table, prefix):
    if tuple(prefix) in prefixes(table):
        children_of(table, prefix)
        return
    for ask in (children_of, documents_below):
        with pytest.raises(InputError, match="no docid begins with"):
            ask(table, prefix)


def test_words_are_labels_where_tokens_have_names():
    table = DocidTable.from_keys(
        [[0, 2], [1, 2]],
        [0, 1],
        ["a", "b"],
        level_sizes=(3, 3),
        shared_vocabulary=True,
        token_names=("▁deep", "sea", ""),
    )
    assert [branch.label for branch in children_of(table)] == ["deep", "sea"]
    assert [branch.label for branch in children_of(table, [0])] == [END_LABEL]


PLANETS = ("Orbiting moons of planets", "The planet and its moons", "Planets, planets and moons")
BREADS = ("Baking breads with rye", "The bread of rye", "Rye breads")


@pytest.fixture
def library():
    """Planets below 0, breads below 1; every document says `study`."""
    documents = [Document(f"p{at}", "study of nature", title) for at, title in enumerate(PLANETS)]
    documents += [Document(f"b{at}", "study of nature", title) for at, title in enumerate(BREADS)]
    corpus = Corpus(documents)
    keys = [(row // 3, row) for row in range(6)]
    return DocidTable.from_keys(keys, range(6), corpus.ids, level_sizes=(2, 6)), corpus


def test_typical_words_tell_the_branches_apart_as_they_are_written(library):
    terms = TypicalTerms(*library).children(count=2)
    assert set(terms[0]) == {"planets", "moons"}
    assert set(terms[1]) == {"breads", "rye"}


def test_words_that_all_branches_share_come_last_and_stop_words_never(library):
    terms = TypicalTerms(*library)
    for own, words in zip(("moons", "rye"), terms.children(count=50).values(), strict=True):
        assert words.index(own) < min(
            [words.index(word) for word in ("study", "nature") if word in words] or [50]
        )
        assert not {"the", "of", "with", "and"} & set(words)
    assert terms.of() == ()


def test_a_leaf_has_words_and_no_children(library):
    terms = TypicalTerms(*library)
    assert "rye" in terms.of([1, 3])
    assert terms.children([1, 3]) == {}
    with pytest.raises(InputError, match="no docid begins with 7"):
        terms.children([7])


def test_a_sample_of_a_large_branch_is_enough():
    rng = np.random.default_rng(0)
    topics = ("violin", "harbour", "granite")
    corpus = Corpus(
        Document(f"d{at}", f"{topics[at % 3]} " + " ".join(f"w{word}" for word in rng.integers(0, 50, 20)))
        for at in range(600)
    )
    table = DocidTable.from_keys(
        [(at % 3, at) for at in range(600)], range(600), corpus.ids, level_sizes=(3, 600)
    )
    read = []
    terms = TypicalTerms(table, corpus, documents=60)
    counted = terms._splitter
    terms._splitter = type("Counting", (), {"analyze": lambda _, t: read.append(t) or counted.analyze(t)})()
    assert [words[0] for words in terms.children().values()] == list(topics)
    assert len(read) <= 60 + 60


def test_hostile_texts_do_not_stop_the_counting():
    corpus = Corpus([Document("a", "\ud800 lone"), Document("b", ""), Document("c", "1 2 3 x " * 10)])
    table = DocidTable.from_keys([(0,), (1,), (2,)], range(3), corpus.ids, level_sizes=(3,))
    assert TypicalTerms(table, corpus).children() == {0: ("lone",), 1: (), 2: ()}
