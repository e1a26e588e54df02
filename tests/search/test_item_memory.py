"""Counted links: what the definition's own loop counts, kept by id, in the order things were met."""

import math
from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from retrograd.search.item_memory import (
    ItemLinks,
    PackedHistories,
    co_occurrences,
    counts_from_state,
    counts_state,
    transitions,
)
from retrograd.types import Corpus, Document, History

IDS = tuple("abcdef")
CORPUS = Corpus(Document(item) for item in IDS)
lives = st.lists(st.lists(st.sampled_from(IDS), min_size=1, max_size=8), min_size=1, max_size=6)


def packed(lists):
    return PackedHistories.of([History(str(at), tuple(items)) for at, items in enumerate(lists)], CORPUS)


def as_lists(links, ids=IDS):
    return {
        ids[item]: [
            (ids[links.targets[at]], links.weights[at])
            for at in range(links.starts[item], links.starts[item + 1])
        ]
        for item in range(len(ids))
        if links.starts[item] < links.starts[item + 1]
    }


@given(lives, st.integers(1, 4), st.sampled_from([0.0, 0.5]))
def test_transitions_are_those_of_the_definition_to_the_last_bit_and_in_order(lists, window, backward):
    counted = defaultdict(dict)
    for life in lists:
        for a in range(len(life)):
            for d in range(1, window + 1):
                if a + d < len(life):
                    x, y = life[a], life[a + d]
                    counted[x][y] = counted[x].get(y, 0.0) + 1 / d
                    if backward:
                        counted[y][x] = counted[y].get(x, 0.0) + backward / d
    links = transitions(packed(lists), len(IDS), window=window, backward=backward)
    assert as_lists(links) == {item: list(to.items()) for item, to in counted.items()}


@given(lives)
def test_co_occurrence_is_the_cosine_of_who_took_them(lists):
    links, counts = co_occurrences(packed(lists), len(IDS))
    users = {item: {at for at, life in enumerate(lists) if item in life} for item in IDS}
    assert counts.tolist() == [len(users[item]) for item in IDS]
    expected = {
        one: {
            two: len(users[one] & users[two]) / math.sqrt(len(users[one]) * len(users[two]))
            for two in IDS
            if two != one and users[one] & users[two]
        }
        for one in IDS
    }
    assert {item: dict(to) for item, to in as_lists(links).items()} == {
        i: to for i, to in expected.items() if to
    }


@given(lives, st.permutations(IDS), st.integers(1, 6))
def test_links_and_counts_survive_items_that_come_and_go(lists, order, left):
    links = transitions(packed(lists), len(IDS), window=2, backward=0.0)
    ids = ("new", *order[:left])
    row_of = {item: row for row, item in enumerate(ids)}
    again = as_lists(ItemLinks.from_state(links.state(IDS), row_of), ids)
    kept = {
        item: [(to, weight) for to, weight in found if to in row_of]
        for item, found in as_lists(links).items()
        if item in row_of
    }
    assert again == {item: found for item, found in kept.items() if found}
    counts = counts_from_state(counts_state(np.arange(1, 7), IDS), row_of)
    assert counts.tolist() == [0, *(IDS.index(item) + 1 for item in order[:left])]


def test_histories_without_a_neighbour_link_nothing():
    links = transitions(packed([["a"], ["b"]]), len(IDS), window=3, backward=0.5)
    assert as_lists(links) == {}
