"""The router: an inverted file at first, adaptive, calibrated, and trained by an expected cost."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from retrograd.indexes.memory import Memory
from retrograd.indexes.proposals import TopK, Union
from retrograd.indexes.router import Probe, Router
from retrograd.losses.routing import expected_cost

N, D, C, K = 600, 8, 12, 5


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


KEYS, QUERIES = drawn(N, D), drawn(200, D, seed=1)


@pytest.fixture(scope="module")
def router():
    return Router.of(KEYS, C, seed=0)


@pytest.fixture(scope="module")
def best():
    return (QUERIES @ KEYS.T).topk(K).indices


def recall(found: torch.Tensor, best: torch.Tensor) -> float:
    return float((best.unsqueeze(2) == found.unsqueeze(1)).any(-1).double().mean())


@pytest.mark.parametrize("shards", [1, 4, C, C + 5])
def test_an_untrained_router_is_an_inverted_file(router, shards):
    faiss = pytest.importorskip("faiss")
    coarse = faiss.IndexFlatIP(D)
    coarse.add(router.centroids.numpy())
    opened = router.probe(QUERIES, shards=shards)
    _, wanted = coarse.search(QUERIES.numpy(), min(shards, C))
    theirs = torch.zeros_like(opened).scatter_(1, torch.from_numpy(wanted), True)
    assert torch.equal(opened, theirs)


def test_a_probe_scans_the_shards_it_opens_and_keeps_the_nearest(router):
    memory = Memory(KEYS)
    whole = memory.search(QUERIES, Probe(router, shards=3))
    opened = router.probe(QUERIES, shards=3)
    for row, mask, where in zip(whole.ids, opened, whole.where, strict=True):
        wanted = mask[router.shard_of].nonzero().squeeze(1)
        assert torch.equal(row[where].sort().values, wanted)
    few = memory.search(QUERIES, Probe(router, shards=3, k=K))
    masked = (QUERIES @ KEYS.T).masked_fill(~opened[:, router.shard_of], -torch.inf)
    assert torch.equal(few.ids, masked.topk(K).indices)
    everything = memory.search(QUERIES[:3], Probe(router, shards=C, k=K))
    assert torch.equal(everything.ids, (QUERIES[:3] @ KEYS.T).topk(K).indices)


def test_in_a_union_and_under_a_filter_a_probe_keeps_to_what_is_left(router):
    where = torch.arange(N) % 2 == 0
    memory = Memory(KEYS)
    hits = memory.search(QUERIES[:5], Union(TopK(3), Probe(router, shards=2, k=4)), where=where)
    assert (hits.where.sum(-1) == 7).all()
    assert where[hits.ids].all()


@pytest.mark.parametrize("wanted", [0.5, 0.9, 0.95, 1.0])
def test_a_calibrated_router_reaches_its_recall_and_not_much_more(router, best, wanted):
    router.calibrate(QUERIES, best)
    found = Memory(KEYS).search(QUERIES, Probe(router, recall=wanted, k=K)).ids
    assert wanted - 1e-9 <= recall(found, best) <= wanted + 0.05


def test_adaptive_probing_opens_few_shards_where_one_stands_out(router, best):
    router.calibrate(QUERIES, best)
    opened = router.probe(QUERIES, recall=0.9).sum(-1)
    assert opened.min() < opened.max()
    near = router.probe(20 * router.centroids, recall=0.9).sum(-1)
    assert near.double().mean() < opened.double().mean()


def test_shares_are_those_of_the_rows(router, best):
    shares = router.shares(best)
    torch.testing.assert_close(shares.sum(-1), torch.ones(len(best)))
    by_hand = np.bincount(router.shard_of[best[0]].numpy(), minlength=C) / K
    torch.testing.assert_close(shares[0], torch.from_numpy(by_hand).float())
    assert not router.shares(torch.full((2, 3), -1)).any()


def test_the_expected_cost_trains_it_to_open_less_for_the_same(best):
    torch.manual_seed(0)
    router = Router.of(KEYS, C, seed=0, hidden=16)
    wanted = router.shares(best)
    sizes = torch.bincount(router.shard_of, minlength=C) / N
    optimiser = torch.optim.Adam(router.parameters(), lr=0.02)
    first = None
    for _ in range(60):
        cost = expected_cost(router(QUERIES), bytes_read=sizes, wanted=wanted)
        loss = (cost["wanted"] + 0.5 * cost["bytes_read"]).mean()
        loss = loss + 0.1 * F.binary_cross_entropy(router(QUERIES), (wanted > 0).float())
        first = float(loss.detach()) if first is None else first
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.8 * first


def test_the_optimum_of_linear_costs_is_hard():
    wanted, sizes, worth = torch.tensor([0.5, 0.3, 0.2, 0.0]), torch.tensor([0.1, 0.4, 0.1, 0.4]), 1.0
    logits = torch.zeros(4, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.3)
    for _ in range(200):
        cost = expected_cost(logits.sigmoid(), bytes_read=sizes, wanted=wanted)
        optimiser.zero_grad()
        (worth * cost["wanted"] + cost["bytes_read"]).backward()
        optimiser.step()
    assert torch.equal(logits > 0, worth * wanted > sizes)


def test_its_cost_counts_every_product(router):
    assert router.cost_in_scores() == 2 * C + C * D / D
    assert Router.of(KEYS, C, hidden=16).cost_in_scores() == 2 * C + (D * 16 + 16 * C) / D


def test_a_saved_router_routes_as_before(router, best):
    router.calibrate(QUERIES, best)
    other = Router(drawn(C, D, seed=5), torch.zeros(N, dtype=torch.int64))
    other.load_state_dict(router.state_dict())
    one, two = (Memory(KEYS).search(QUERIES, Probe(each, recall=0.9, k=K)).ids for each in (router, other))
    assert torch.equal(one, two)


def test_what_cannot_be_routed_is_refused(router):
    fresh = Router.of(KEYS, C)
    for options, message in (
        ({"recall": 0.9}, "calibrate"),
        ({}, "one of the two"),
        ({"recall": 0.9, "shards": 3}, "one of the two"),
        ({"recall": 1.5}, "must lie"),
    ):
        with pytest.raises(ValueError, match=message):
            fresh.probe(QUERIES, **options)
    with pytest.raises(ValueError, match="the memory has 10"):
        Memory(KEYS[:10]).search(QUERIES, Probe(router, shards=1))
    with pytest.raises(ValueError, match="draws"):
        Probe(router, draw=True, k=3)
