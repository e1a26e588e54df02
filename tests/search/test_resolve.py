"""Keys to documents: a fixed order, no document twice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.search.resolve import Resolver
from tests.catalogues import tables


@given(tables(), st.randoms(use_true_random=False), st.integers(1, 20))
def test_documents_come_in_the_order_of_their_best_key_and_then_of_the_table(table, random, limit):
    keys = list(range(len(table)))
    random.shuffle(keys)
    place_of = {}
    for place, key in enumerate(keys):
        for document in table.documents_of(key).tolist():
            place_of.setdefault(document, place)
    expected = sorted(place_of.items(), key=lambda item: (item[1], item[0]))
    assert Resolver(table).documents([*keys, -1], limit) == expected[:limit]


@given(tables(), st.sets(st.integers(0, 13)))
def test_a_forbidden_document_is_never_answered_even_where_it_shares_a_key(table, allowed):
    mask = np.isin(np.arange(len(table.document_ids)), sorted(allowed))
    resolver = Resolver(table, mask)
    found = {document for document, _ in resolver.documents(list(range(len(table))), 99)}
    assert found == {document for document in table.pairs[:, 1].tolist() if document in allowed}
    assert resolver.num_reachable == len(found)


@given(tables())
def test_a_hit_carries_path_and_steps_without_padding(table):
    depth = table.depth
    hits = Resolver(table).hits(
        [0, -1], [-1.5, -np.inf], [table.padded[0].tolist(), [-1] * depth], [[-0.5] * depth, [0.0] * depth], 5
    )
    for hit in hits:
        assert hit.path == table.key(0)
        assert hit.step_scores == pytest.approx([-0.5] * len(hit.path))
        assert hit.score == -1.5
    assert [hit.document for hit in hits] == [table.document_ids[row] for row in table.documents_of(0)]
