"""The rules that order documents by key score and cosine."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.search.leaf_ranking import RANKS, check_rank

pairs = st.lists(st.tuples(st.sampled_from([-2.0, -1.0, 0.0]), st.sampled_from([-0.5, 0.0, 0.5])), min_size=1)


@given(pairs, st.sampled_from(sorted(RANKS)), st.floats(0, 10))
def test_scores_never_rise_and_full_ties_keep_the_order_they_came_in(rows, rank, alpha):
    beam, cosine = np.array(rows).T
    order, score = RANKS[rank](beam, cosine, alpha)
    assert sorted(order.tolist()) == list(range(len(rows)))
    assert (np.diff(score[order]) <= 0).all()
    for one, other in pairwise(order):
        if rows[one] == rows[other]:
            assert one < other


@given(pairs)
def test_each_rule_looks_at_what_it_says(rows):
    beam, cosine = np.array(rows).T
    keys = [(-b, -c) for b, c in rows]
    lexicographic, _ = RANKS["lexicographic"](beam, cosine, 1.0)
    assert [keys[at] for at in lexicographic] == sorted(keys)
    assert RANKS["sum"](beam, cosine, 4.0)[1].tolist() == [b + 4.0 * c for b, c in rows]
    assert RANKS["cosine"](beam, cosine, 1.0)[1].tolist() == cosine.tolist()


def test_an_unknown_rule_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="lexicographic, sum, cosine"):
        check_rank("best")
