"""An index beside which vectors came and went answers as one of the vectors that are there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.indexes.drifted import DriftedIndex
from retrograd.indexes.faiss_index import Hnsw, Ivf
from retrograd.indexes.flat import Flat, FlatIndex


@given(st.integers(1, 40), st.integers(0, 10), st.integers(1, 60), st.floats(0, 1), st.integers(0, 2**31))
def test_over_an_exact_index_it_is_exact(count, more, k, share, seed):
    draw = np.random.default_rng(seed)
    before = draw.standard_normal((count, 4)).astype(np.float32)
    gone = draw.random(count) < share
    if gone.all() and not more:
        gone[0] = False
    rows = np.where(gone, -1, np.cumsum(~gone) - 1)
    now = np.concatenate([before[~gone], draw.standard_normal((more, 4)).astype(np.float32)])
    index = DriftedIndex(Flat().build(before), rows, np.arange(int((~gone).sum()), len(now)), now)
    queries = draw.standard_normal((3, 4)).astype(np.float32)
    for found, wanted in zip(index.search(queries, k), FlatIndex(now).search(queries, k), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("config", [Hnsw(neighbours=8), Ivf(lists=4, probes=4)])
def test_over_a_graph_what_is_gone_never_answers_and_what_joined_does(config):
    draw = np.random.default_rng(0)
    before = draw.standard_normal((200, 8)).astype(np.float32)
    rows = np.where(np.arange(200) % 2 == 0, -1, np.arange(200) // 2)
    now = np.concatenate([before[1::2], 9 * before[:1]])
    index = DriftedIndex(config.build(before), rows, np.array([100]), now)
    scores, found = index.search(before[:1], 20)
    assert found[0, 0] == 100
    assert len(set(found[0].tolist())) == 20
    np.testing.assert_allclose(scores[0], now[found[0]] @ before[0], rtol=1e-5)
