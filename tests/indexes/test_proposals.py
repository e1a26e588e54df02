"""Proposals: what they declare is what they do, filters are deletions, nothing is chosen twice."""

import itertools
from math import comb

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.indexes.drafts import Draft
from retrograd.indexes.hashing import LSH
from retrograd.indexes.lexical import LexicalIndex
from retrograd.indexes.memory import Memory
from retrograd.indexes.proposals import (
    Given,
    InBatch,
    Lexical,
    Neighbours,
    Posterior,
    TopK,
    Uniform,
    Union,
)
from retrograd.indexes.router import Probe, Router
from retrograd.ops.labels import Label
from retrograd.types import Corpus, Document

N, D, B = 12, 4, 3


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


KEYS, QUERIES = drawn(N, D), drawn(B, D, seed=1)
TABLE = torch.stack([(torch.arange(N) + 1) % N, (torch.arange(N) + 5) % N], 1)
ROUTER = Router.of(KEYS, 4, seed=0)
ROUTER.nearness.data.fill_(0.3)
LOG_Q = drawn(N, seed=3).log_softmax(0)
GUIDE = torch.stack([torch.arange(N).roll(shift) for shift in range(B)])


@pytest.fixture(scope="module")
def bm25(tmp_path_factory):
    words = ["red", "green", "blue", "grey"]
    corpus = Corpus([Document(str(row), " ".join(words[: 1 + row % 4])) for row in range(N)])
    return LexicalIndex.build(corpus, tmp_path_factory.mktemp("bm25") / "index")


def every(bm25) -> dict[str, tuple[object, Label]]:
    """Each proposal with the label it must declare."""
    return {
        "top k": (TopK(3), Label.BIASED),
        "top k of some": (TopK(3, where=torch.arange(N) % 2 == 0), Label.BIASED),
        "uniform": (Uniform(4), Label.CONSISTENT),
        "given": (Given(torch.tensor([3, 4, 5])), Label.BIASED),
        "posterior by ids": (Posterior(2, GUIDE), Label.BIASED),
        "posterior by scores": (Posterior(2, drawn(B, N, seed=5)), Label.BIASED),
        "lexical": (Lexical(bm25, 3, ["grey", "blue red", "nothing"]), Label.BIASED),
        "in batch": (InBatch(torch.tensor([1, 2, 1])), Label.BIASED),
        "in batch with chances": (InBatch(torch.tensor([1, 2, 1]), LOG_Q), Label.CONSISTENT),
        "hashing": (LSH(tables=3, bits=2), Label.CONSISTENT),
        "probe": (Probe(ROUTER, shards=2), Label.BIASED),
        "probe k": (Probe(ROUTER, shards=2, k=2), Label.BIASED),
        "probe by chance": (Probe(ROUTER, draw=True), Label.CONSISTENT),
        "neighbours": (Union(Given(torch.tensor([3, 4, 5])), Neighbours(TABLE, 1)), Label.BIASED),
        "head and tail": (Union(Uniform(3), TopK(3)), Label.CONSISTENT),
        "head, guide and tail": (
            Union(TopK(2), Posterior(2, GUIDE), Uniform(2), Uniform(2)),
            Label.CONSISTENT,
        ),
        "independent": (
            Union(TopK(2), Uniform(3), Probe(ROUTER, draw=True), independent=True),
            Label.CONSISTENT,
        ),
        "nested": (Union(Union(TopK(2), Posterior(1, GUIDE)), Uniform(2)), Label.CONSISTENT),
    }


def names() -> list[str]:
    return list(every(None))


proposals = pytest.mark.parametrize("name", names())


def propose(proposal, *, queries=QUERIES, keys=KEYS, seed=0, **options) -> Draft:
    generator = torch.Generator().manual_seed(seed)
    return Memory(keys).propose(queries, proposal, generator=generator, **options)


@proposals
def test_every_proposal_declares_its_label_and_keeps_it(name, bm25):
    proposal, label = every(bm25)[name]
    assert proposal.label is label
    assert propose(proposal).label is label


@proposals
def test_no_row_is_chosen_twice_and_padding_comes_last(name, bm25):
    for seed in range(5):
        draft = propose(every(bm25)[name][0], seed=seed)
        for row in draft.rows.tolist():
            chosen = [number for number in row if number >= 0]
            assert len(set(chosen)) == len(chosen)
            assert row == chosen + [-1] * (len(row) - len(chosen))
        assert not draft.log_inclusion[draft.rows < 0].any()
        assert bool((draft.log_inclusion <= 1e-12).all())


@proposals
def test_what_is_filtered_or_deleted_is_never_chosen(name, bm25):
    proposal = every(bm25)[name][0]
    shared, own = torch.arange(N) % 3 != 0, drawn(B, N, seed=6) > -0.5
    if isinstance(proposal, Union) and not proposal.independent and "Given" in repr(proposal):
        own[torch.arange(B), torch.tensor([3, 4, 5])] = True
    for seed in range(4):
        rows = propose(proposal, where=shared, seed=seed).rows
        assert shared[rows[rows >= 0]].all()
        rows = propose(proposal, where=own, seed=seed).rows
        assert own.gather(1, rows.clamp(min=0))[rows >= 0].all()
        memory = Memory(KEYS)
        memory.delete((~shared).nonzero().squeeze(1)[2:])
        if "Given" not in repr(proposal) and not isinstance(proposal, InBatch | Posterior | Union):
            rows = memory.propose(QUERIES, proposal, generator=torch.Generator().manual_seed(seed)).rows
            assert memory.alive[rows[rows >= 0]].all()


@pytest.mark.parametrize("name", ["top k", "probe k", "posterior by scores", "lexical", "head and tail"])
def test_a_filter_is_applied_before_the_best_are_counted(name, bm25):
    where = torch.arange(N) % 2 == 1
    proposal = every(bm25)[name][0]
    draft = propose(proposal, where=where)
    if name == "head and tail":
        draft = propose(TopK(3), where=where)
    if name in ("top k", "head and tail"):
        kept = where.nonzero().squeeze(1)
        best = kept[(QUERIES @ KEYS[where].T).topk(3).indices]
        assert torch.equal(draft.rows, best)
    if name == "posterior by scores":
        best = drawn(B, N, seed=5).masked_fill(~where, -torch.inf).topk(2).indices
        assert torch.equal(draft.rows, best)
    if name == "lexical":
        assert (draft.rows[:2] >= 0).all()


@proposals
def test_asking_for_everything_is_exact_and_certain(name, bm25):
    for proposal in (Uniform(N), TopK(N), Union(every(bm25)[name][0], Uniform(N))):
        draft = propose(proposal)
        assert draft.label is Label.EXACT
        assert torch.equal(draft.rows.sort(-1).values, torch.arange(N).expand(B, N))
        assert not draft.log_inclusion.any()


def mean_weights(proposal, times: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """(N,) mean over draws of `weight if chosen else 0`, and its standard error; 1 each if consistent."""
    memory, generator = Memory(KEYS), torch.Generator().manual_seed(seed)
    query, found = QUERIES[:1], []
    shared = "LSH" in repr(proposal)  # draws one set of planes for the batch
    for block in range(times if shared else 10):
        queries = query if shared else query.expand(times // 10, D)
        draft = memory.propose(queries, proposal, generator=generator)
        dense = torch.zeros(len(queries), N + 1, dtype=torch.float64)
        rows = draft.rows.masked_fill(draft.rows < 0, N)
        found.append(dense.scatter(1, rows, (-draft.log_inclusion).exp())[:, :N])
        del block
    weights = torch.cat(found)
    return weights.mean(0), weights.std(0) / len(weights) ** 0.5


def one_guide(proposal):
    """The same for a batch of one query, repeated."""
    guide = GUIDE[:1]
    if isinstance(proposal, Union):
        return Union(*map(one_guide, proposal.stages), independent=proposal.independent)
    return Posterior(proposal.count, guide) if isinstance(proposal, Posterior) else proposal


RANDOM = {
    "uniform": Uniform(4),
    "hashing": LSH(tables=3, bits=2),
    "probe by chance": Probe(ROUTER, draw=True),
    "head and tail": Union(Uniform(3), TopK(3)),
    "head, tail and tail": Union(TopK(2), Uniform(2), Uniform(2)),
    "head and routed tail": Union(TopK(2), Probe(ROUTER, draw=True)),
    "head and hashes": Union(TopK(2), LSH(tables=3, bits=2)),
    "independent": Union(TopK(2), Uniform(3), Probe(ROUTER, draw=True), independent=True),
    "nested": Union(Union(TopK(2), Uniform(2)), Uniform(1)),
}


def check_chances(proposal, times):
    mean, error = mean_weights(proposal, times)
    off = (mean - 1).abs() / error.clamp(min=1e-12)
    assert off.max() < 4, (mean, error)


@pytest.mark.parametrize("name", RANDOM)
def test_declared_chances_are_the_chances(name):
    check_chances(RANDOM[name], 2000)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("name", ["uniform", "head and tail", "independent", "probe by chance"])
def test_under_a_filter_chances_are_those_among_what_is_left(name, own):
    where, times = torch.arange(N) % 3 != 0, 4000
    mask = where.expand(times, N) if own else where
    draft = propose(RANDOM[name], queries=QUERIES[:1].expand(times, D), where=mask)
    rows = draft.rows.masked_fill(draft.rows < 0, N)
    weights = torch.zeros(times, N + 1, dtype=torch.float64).scatter(1, rows, (-draft.log_inclusion).exp())[
        :, :N
    ]
    off = (weights.mean(0) - where.double()).abs() / (weights.std(0) / times**0.5).clamp(min=1e-12)
    assert off.max() < 4


@pytest.mark.reliability
@pytest.mark.parametrize("name", RANDOM)
def test_declared_chances_are_the_chances_over_many_draws(name):
    check_chances(RANDOM[name], 20_000 if "LSH" in repr(RANDOM[name]) else 100_000)


def check_in_batch(times: int) -> None:
    batch, generator = 4, torch.Generator().manual_seed(0)
    memory, weights = Memory(KEYS), []
    for others in torch.multinomial(LOG_Q.exp(), times * (batch - 1), True, generator=generator).view(
        times, -1
    ):
        ids = torch.cat([torch.tensor([0]), others])
        own = Union(Given(ids), InBatch(ids, LOG_Q))
        draft = memory.propose(QUERIES[:1].expand(batch, D), own)
        dense = torch.zeros(N + 1, dtype=torch.float64)
        rows = draft.rows[0].masked_fill(draft.rows[0] < 0, N)
        weights.append(dense.scatter(0, rows, (-draft.log_inclusion[0]).exp())[:N])
    stacked = torch.stack(weights)
    off = (stacked.mean(0) - 1).abs() / (stacked.std(0) / times**0.5).clamp(min=1e-12)
    assert off.max() < 4, stacked.mean(0)


def test_documents_of_other_queries_stand_for_all():
    check_in_batch(600)


@pytest.mark.reliability
def test_documents_of_other_queries_stand_for_all_over_many_batches():
    check_in_batch(20_000)


@pytest.mark.parametrize("tail", [1, 2, 4])
def test_the_mean_sum_and_its_gradient_over_all_tails_are_those_of_everything(tail):
    head, tau = 3, 0.5
    queries = QUERIES[:1].clone().requires_grad_()
    best = propose(TopK(head), queries=queries.detach()).rows[0].tolist()
    rest = [row for row in range(N) if row not in best]
    memory, totals = Memory(KEYS), []
    for chosen in itertools.combinations(rest, tail):
        log_inclusion = torch.zeros(1, head + tail, dtype=torch.float64)
        log_inclusion[:, head:] = np.log(tail / len(rest))
        rows = torch.tensor([[*best, *chosen]])
        draft = Draft(
            rows=rows,
            log_inclusion=log_inclusion,
            label=Label.CONSISTENT,
            head=rows < 0,
            stages=(),
        )
        totals.append(memory.read(queries, draft).log_total(tau).exp())
    assert len(totals) == comb(len(rest), tail)
    mean, whole = torch.stack(totals).mean(), (queries @ KEYS.T / tau).exp().sum()
    torch.testing.assert_close(mean, whole, atol=1e-12, rtol=1e-12)
    gradients = [torch.autograd.grad(each, queries)[0] for each in (mean, whole)]
    torch.testing.assert_close(*gradients, atol=1e-12, rtol=1e-12)


def test_the_bias_of_a_ratio_falls_as_one_over_the_draws():
    memory = Memory(KEYS)
    exact = (QUERIES[:1] @ KEYS.T).softmax(-1) @ KEYS
    biases = []
    for count in (2, 4):
        generator = torch.Generator().manual_seed(0)
        many = QUERIES[:1].expand(40_000, D)
        hits = memory.search(many, Uniform(count), generator=generator)
        biases.append(float((hits.mix(hits.weights()).mean(0) - exact).norm()))
    assert biases[1] < 0.7 * biases[0]


@given(seed=st.integers(0, 2**31), k=st.integers(1, 14))
def test_top_k_is_the_brute_force_of_any_size(seed, k):
    queries = drawn(2, D, seed=seed)
    assert torch.equal(propose(TopK(k), queries=queries).rows, (queries @ KEYS.T).topk(min(k, N)).indices)


def test_a_union_runs_what_reaches_everything_last_and_keeps_the_rest_certain():
    union = Union(Uniform(2), TopK(3), Given(torch.tensor([3, 4, 5])))
    draft = propose(union)
    for chances, rows in zip(draft.log_inclusion, draft.rows, strict=True):
        assert (chances[rows >= 0][:-2] == 0).all()
        assert (chances[rows >= 0][-2:] < 0).all()
    assert [stage.split("(")[0] for stage in draft.stages] == ["TopK", "Given", "Uniform"]


def test_stages_may_have_a_filter_of_their_own():
    positives = torch.tensor([3, 4, 5])
    hard = TopK(2, where=torch.arange(N) != positives.unsqueeze(1))
    draft = propose(Union(Given(positives), hard))
    assert torch.equal(draft.rows[:, 0], positives)
    assert (draft.rows[:, 1:] != positives.unsqueeze(1)).all()
    assert draft.rows.shape == (B, 3)


def test_neighbours_are_those_of_what_is_there():
    draft = propose(Union(Given(torch.tensor([0, 1, 2])), Neighbours(TABLE, 2)))
    assert draft.rows.tolist() == [[row, (row + 1) % N, (row + 5) % N] for row in range(3)]
    with pytest.raises(ValueError, match="after another stage"):
        propose(Neighbours(TABLE, 2))


def test_lexical_finds_what_bm25_finds(bm25):
    texts = ["grey", "blue red", "nothing"]
    found = propose(Lexical(bm25, 3, texts)).rows
    for row, answers in zip(found.tolist(), bm25.search(texts, 3), strict=True):
        assert [number for number in row if number >= 0] == [row for row, _ in answers]
    with pytest.raises(ValueError, match="one for each"):
        propose(Lexical(bm25, 3, texts[:1]))


@pytest.mark.parametrize(
    "make",
    [lambda: TopK(0), lambda: Uniform(0), Union, lambda: LSH(bits=0), lambda: Neighbours(TABLE, 0)],
)
def test_counts_are_at_least_one(make):
    with pytest.raises(ValueError, match="at least"):
        make()


def test_a_row_that_cannot_be_drawn_makes_a_batch_biased():
    log_q = LOG_Q.clone()
    log_q[3] = -torch.inf
    assert InBatch(torch.tensor([1, 2, 1]), log_q).label is Label.BIASED


def test_nothing_allowed_is_no_hits_and_no_error(bm25):
    nothing = torch.zeros(N, dtype=torch.bool)
    for proposal, _ in every(bm25).values():
        if isinstance(proposal, Union) and "Neighbours" in repr(proposal):
            continue
        assert propose(proposal, where=nothing).rows.shape == (B, 0)
