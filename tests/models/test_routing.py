"""Nodes of an index as its documents stand, and a router that turns nothing before it has learnt."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.models.routing import Nodes, Router


@given(st.integers(1, 30), st.integers(0, 99))
def test_a_node_is_the_unit_mean_of_the_documents_that_share_its_prefix(count, seed):
    rng = np.random.default_rng(seed)
    codes, vectors = rng.integers(0, 3, (count, 3)), rng.standard_normal((count, 4)).astype(np.float32)
    nodes = Nodes.of_codes(codes, vectors)
    assert torch.equal(nodes.codes, torch.from_numpy(codes))
    for level in range(3):
        for row in range(count):
            mates = (codes[:, : level + 1] == codes[row, : level + 1]).all(axis=1)
            mean = vectors[mates].mean(axis=0)
            found = nodes.centroids[level][nodes.of_document[row, level]].numpy()
            np.testing.assert_allclose(found, mean / np.linalg.norm(mean), atol=1e-5)
            same = nodes.of_document[:, level] == nodes.of_document[row, level]
            assert np.array_equal(same.numpy(), mates)


def test_an_untrained_router_is_the_cosine_with_the_nodes():
    router = Router(2, 4, hidden=3)
    queries = torch.nn.functional.normalize(torch.randn(5, 4), dim=1)
    centroids = torch.nn.functional.normalize(torch.randn(6, 4), dim=1)
    torch.testing.assert_close(router(queries, 1, centroids), 20 * queries @ centroids.T)
    torch.testing.assert_close(router.turn(queries, 0), queries)


def test_its_scale_is_capped():
    router = Router(1, 4, hidden=0)
    router.log_scale.data.fill_(9.0)
    one = torch.eye(4)[:1]
    torch.testing.assert_close(router(one, 0, one), torch.tensor([[100.0]]))
