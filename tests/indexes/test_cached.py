"""A cache changes nothing but the time: bit for bit, through writes, filters and training."""

import pytest
import torch

from retrograd.indexes.cached import Cached
from retrograd.indexes.memory import Memory
from retrograd.indexes.proposals import TopK, Uniform, Union
from retrograd.indexes.retrieve import retrieve
from retrograd.indexes.sharded import Sharded

N, D, B = 60, 8, 4
KEYS = torch.randn(N, D, generator=torch.Generator().manual_seed(0))
QUERIES = torch.randn(B, D, generator=torch.Generator().manual_seed(1))
PROPOSALS = [TopK(5), Union(TopK(5), Uniform(5))]


def same(ours, theirs) -> None:
    for name in ("ids", "scores", "log_weight", "values", "where"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name)), name
    assert ours.label is theirs.label


@pytest.mark.parametrize("proposal", PROPOSALS, ids=repr)
@pytest.mark.parametrize("index", ["flat", "IVF4,Flat"])
def test_with_and_without_a_cache_are_bit_identical(proposal, index):
    pytest.importorskip("faiss")
    memory = Memory(KEYS, index=index)
    cached = Cached(memory)
    shared, own = torch.arange(N) % 2 == 0, torch.rand(B, N, generator=torch.Generator().manual_seed(2)) < 0.5
    for times in range(3):
        for where in (None, shared, own):
            for batch in (QUERIES, QUERIES[1:3].flip(0), QUERIES[:1], QUERIES[:0]):
                mask = where[: len(batch)] if where is own else where
                ours, theirs = (
                    store.search(batch, proposal, where=mask, generator=torch.Generator().manual_seed(times))
                    for store in (cached, memory)
                )
                same(ours, theirs)
    assert cached.hit_rate > 0.6


def test_only_ids_are_remembered_so_scores_keep_their_gradients():
    memory = Memory(KEYS, trainable=True)
    cached = Cached(memory)
    for _ in range(2):
        memory.keys.grad = None
        retrieve(QUERIES, cached, TopK(5)).sum().backward()
        assert memory.keys.grad.any()
    assert cached.hit_rate == 0.5


@pytest.mark.parametrize("write", ["add", "delete", "refresh", "step"])
def test_a_write_empties_it(write):
    memory = Memory(KEYS, trainable=write == "step")
    cached = Cached(memory)
    cached.search(QUERIES, TopK(5))
    if write == "add":
        memory.add(torch.tensor([N]), 9 * QUERIES[:1])
    elif write == "delete":
        memory.delete(cached.search(QUERIES, TopK(1)).ids[0])
    elif write == "refresh":
        memory.refresh()
    else:
        with torch.no_grad():
            memory.keys.neg_()
    same(cached.search(QUERIES, TopK(5)), memory.search(QUERIES, TopK(5)))


def test_the_least_recently_used_is_forgotten():
    cached = Cached(Memory(KEYS), size=2)
    for at in (0, 1, 0, 2, 0, 1):
        cached.search(QUERIES[at : at + 1], TopK(2))
    assert (cached.found, cached.asked) == (2, 6)
    with pytest.raises(ValueError, match="size=0"):
        Cached(Memory(KEYS), size=0)


def test_equal_queries_of_one_batch_share_an_answer():
    cached = Cached(Memory(KEYS), size=1)
    hits = cached.search(QUERIES[:1].expand(3, D), TopK(2))
    assert torch.equal(hits.ids[0], hits.ids[2])


def test_a_part_may_be_cached():
    halves = [Memory(KEYS[:30]), Memory(KEYS[30:], ids=torch.arange(30, N))]
    plain, cached = Sharded(halves), Sharded([Cached(half) for half in halves])
    for _ in range(2):
        found = [retrieve(QUERIES, store, TopK(5)) for store in (plain, cached)]
        assert torch.equal(*found)
