"""Docids and their trie while documents come and go: carried on, they answer as if made from nothing."""

from functools import partialmethod
from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.change_log import Kept, Net
from retrograd.constraints import AllowList, CsrTrie, LiveTrie
from retrograd.docid_table import DocidTable
from retrograd.native import Library, find
from retrograd.search.changed import changed_parts
from retrograd.search.decoding_policies import BestFirst, DiverseBeam
from retrograd.search.generative import Beam, ScoreAll, beam_searcher
from retrograd.search.parts import Parts
from retrograd.types import Document
from tests.catalogues import CODES, DEPTH, tables
from tests.search.test_generative import QUERIES, Favourites, parts_of

ALWAYS = partialmethod(LiveTrie.changed, worn=0.0, worn_at_least=0)
"""Makes the large trie anew at every change."""

ENGINES = ("torch", "native") if isinstance(find(), Library) else ("torch",)


def clashes(key, others):
    return any(key != other and key[: len(other)] == other[: len(key)] for other in others)


@st.composite
def histories(draw):
    """A table; then (documents by place as (id, keys), level sizes) after each change or way back."""
    table = draw(tables())
    owned = [
        tuple(table.key(int(key)) for key in table.keys_of(row)) for row in range(len(table.document_ids))
    ]
    state = (dict(enumerate(zip(table.document_ids, owned, strict=True))), table.level_sizes)
    states, following = [state], len(owned)
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.integers(0, 3)) == 0:
            states.append(draw(st.sampled_from(states)))
            continue
        documents, sizes = dict(states[-1][0]), states[-1][1]
        gone = sorted(draw(st.sets(st.sampled_from(sorted(documents)), max_size=3)))
        freed = [documents.pop(place)[0] for place in gone]
        sizes = (*(size + 1 for size in sizes),) if draw(st.integers(0, 3)) == 0 else sizes
        sizes = (*sizes, sizes[0]) if draw(st.integers(0, 5)) == 0 and len(sizes) == DEPTH else sizes
        for _ in range(draw(st.integers(0, 3))):
            length = draw(st.integers(1, len(sizes)))
            fresh = [tuple(draw(st.integers(0, size - 1)) for size in sizes[:length]) for _ in range(2)]
            used = {key for _, keys in documents.values() for key in keys}
            keys = fresh[: draw(st.integers(1, 2))] + draw(
                st.lists(st.sampled_from(sorted(used) or fresh), max_size=1)
            )
            keys = [key for at, key in enumerate(keys) if not clashes(key, {*used, *keys[:at]})]
            name = freed.pop() if freed and draw(st.booleans()) else f"n{following}"
            documents[following] = (name, tuple(dict.fromkeys(keys)))
            following += 1
        if any(keys for _, keys in documents.values()):
            states.append((documents, sizes))
    return table, states[1:]


def net_of(documents, sizes, count):
    """The changes since a base of so many documents, at places from 0."""
    joined = {
        place: Kept(place, Document(name, name), keys)
        for place, (name, keys) in documents.items()
        if place >= count
    }
    return Net(gone=frozenset(range(count)) - documents.keys(), joined=joined, level_sizes=sizes)


def made_from_nothing(parts, documents, sizes):
    """The same documents and model with a table and a trie of their own."""
    pairs = [(key, row) for row, place in enumerate(sorted(documents)) for key in documents[place][1]]
    table = DocidTable.from_keys(
        [key for key, _ in pairs],
        [row for _, row in pairs],
        [documents[place][0] for place in sorted(documents)],
        level_sizes=sizes,
        shared_vocabulary=parts.table.shared_vocabulary,
    )
    return Parts(corpus=parts.corpus, model=parts.model, table=table)


def assert_same(found, expected):
    for (_, one), (_, other) in zip(found, expected, strict=True):
        assert [(hit.document, hit.path) for hit in one] == [(hit.document, hit.path) for hit in other]
        for left, right in zip(one, other, strict=True):
            np.testing.assert_allclose(
                [left.score, *left.step_scores], [right.score, *right.step_scores], atol=1e-5
            )


def replayed(history, merging=False):
    """Parts, those made from nothing, and the state, after each change."""
    table, states = history
    base = parts_of(table)
    base.trie  # as a searcher asks for it  # noqa: B018
    places = np.arange(len(table.document_ids))
    before = (base, places)
    for documents, sizes in states:
        net = net_of(documents, sizes, len(places))
        with patch.object(LiveTrie, "changed", ALWAYS if merging else LiveTrie.changed):
            parts = changed_parts(base, places, net, {}, before=before)
        yield parts, made_from_nothing(parts, documents, sizes), documents
        before = (parts, np.array(sorted(documents)))


@settings(max_examples=60)
@given(histories())
def test_a_table_after_changes_holds_what_one_made_from_nothing_holds(history):
    for parts, fresh, documents in replayed(history):
        table = parts.table
        assert table.document_ids == fresh.table.document_ids == parts.corpus.ids
        assert table.level_sizes == fresh.table.level_sizes
        assert table.keys_of_some(range(len(documents))) == [
            tuple(table.key(int(key)) for key in table.keys_of(row)) for row in range(len(documents))
        ]
        owned = [set(keys) for keys in table.keys_of_some(range(len(documents)))]
        assert owned == [set(documents[place][1]) for place in sorted(documents)]
        assert table.order.tolist() == np.lexsort(table.padded.T[::-1]).tolist()
        assert table.pairs.tolist() == sorted(table.pairs.tolist())


@settings(max_examples=60)
@given(
    histories(),
    st.booleans(),
    st.sampled_from(ENGINES),
    st.integers(1, 6),
    st.integers(1, 20),
    st.sampled_from(["beam", "beam", "narrow", "planned", "all", "best", "diverse"]),
)
def test_every_searcher_answers_as_one_made_from_nothing(history, merging, engine, width, k, kind):
    asked = []
    for parts, fresh, documents in replayed(history, merging):
        names = [documents[place][0] for place in sorted(documents)]
        config = {
            "beam": Beam(width=width, engine=engine),
            "narrow": Beam(width=width, widen=False, engine="torch"),
            "planned": Beam(width=width, planner=Favourites(names[::-1]), engine=engine),
            "all": ScoreAll(),
            "best": BestFirst(width=width, engine=engine),
            "diverse": DiverseBeam(width=width + 1, groups=2),
        }[kind]
        searcher, expected = config.build(parts), config.build(fresh).search(QUERIES, k)
        assert_same(searcher.search(QUERIES, k), expected)
        asked.append((searcher, expected))
    for searcher, expected in asked:  # those before go on undisturbed
        assert_same(searcher.search(QUERIES, k), expected)


@settings(max_examples=40)
@given(histories(), st.booleans(), st.sampled_from(ENGINES), st.data())
def test_a_filter_of_a_carried_trie_allows_what_one_made_from_nothing_allows(history, merging, engine, data):
    for parts, fresh, documents in replayed(history, merging):
        rows = sorted(data.draw(st.sets(st.integers(0, len(documents) - 1))))
        mask = np.isin(np.arange(len(documents)), rows)
        one, other = (
            beam_searcher(
                Beam(width=3, engine=engine),
                each.model,
                each.table,
                AllowList.from_documents(each.trie, each.table, rows),
                mask,
            )
            for each in (parts, fresh)
        )
        assert_same(one.search(QUERIES, 99), other.search(QUERIES, 99))


def test_the_large_trie_is_shared_until_tokens_vanish():
    table = DocidTable.from_keys([[0, 1], [1, 0]], [0, 1], ["a", "b"], level_sizes=(CODES, CODES))
    base = parts_of(table)
    large, places = base.trie, np.arange(2)
    more = {2: ("c", ((0, 2),)), 3: ("e", ((0, 1),))}
    first = {0: ("a", ((0, 1),)), 1: ("b", ((1, 0),)), **more}
    grown = changed_parts(base, places, net_of(first, (CODES, CODES), 2), {}, before=(base, places))
    after = changed_parts(
        base, places, net_of(more, (CODES, CODES + 1), 2), {}, before=(grown, np.array(sorted(first)))
    )
    assert grown.trie.base is after.trie.base is large
    assert [grown.trie.graft is not None, after.trie.live is not None] == [True, True]
    back = changed_parts(
        base, places, net_of(first, (CODES, CODES), 2), {}, before=(after, np.array(sorted(more)))
    )
    assert isinstance(back.trie, CsrTrie)
    unasked = parts_of(table)
    later = changed_parts(unasked, places, net_of(first, (CODES, CODES), 2), {}, before=(unasked, places))
    assert "trie" not in vars(later), "nobody asked, so nothing is carried on"
