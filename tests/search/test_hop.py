"""Searches in a row: every path by hand, and every way of following them against that."""

import math

import pytest
import torch
from torch import nn

from retrograd.indexes.cached import Cached
from retrograd.indexes.memory import Memory
from retrograd.indexes.proposals import TopK, Uniform
from retrograd.indexes.retrieve import retrieve
from retrograd.losses import marginal_nll, reinforce
from retrograd.ops.labels import Label
from retrograd.search.hop import WAYS, Hop

N, D, E, B = 4, 3, 2, 2


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


KEYS, VALUES, QUERIES = drawn(N, D), drawn(N, E, seed=1), drawn(B, D, seed=2)
OUTCOME = drawn(N, N, N, seed=3).abs()
"""Of a path by its entries; shorter paths are taken to end in entry 0."""

TAU = 0.7


def made(steps: int = 2, stops: bool = False, k: int = N, **options) -> Hop:
    torch.manual_seed(0)
    update, stop = nn.GRUCell(E, D).double(), nn.Linear(D, 1).double()
    memory = Memory(KEYS, VALUES)
    return Hop(memory, TopK(k), update, steps=steps, stop=stop if stops else None, temperature=TAU, **options)


def outcomes(ids: torch.Tensor) -> torch.Tensor:
    padded = nn.functional.pad(ids.clamp(min=0), (0, 3 - ids.shape[-1]))
    return OUTCOME[padded[..., 0], padded[..., 1], padded[..., 2]]


def by_hand(hop: Hop, query: torch.Tensor) -> dict[tuple[int, ...], torch.Tensor]:
    """Every path and its probability, by recursion over one query at a time."""
    found = {}

    def walk(path: tuple[int, ...], point: torch.Tensor, chance: torch.Tensor) -> None:
        if len(path) == hop.steps:
            found[path] = chance
            return
        if path and hop.stop is not None:
            halt = torch.sigmoid(hop.stop(point)[0, 0])
            found[path], chance = chance * halt, chance * (1 - halt)
        left = [z for z in range(N) if hop.repeats or z not in path]
        p = (KEYS[left] @ point[0] / TAU).softmax(-1)
        for z, p_z in zip(left, p, strict=True):
            walk((*path, z), hop.update(VALUES[z : z + 1], point), chance * p_z)

    walk((), query.unsqueeze(0), torch.ones((), dtype=torch.float64))
    return found


def expectation(hop: Hop, queries: torch.Tensor) -> torch.Tensor:
    rows = [
        sum(chance * outcomes(torch.tensor(path)) for path, chance in by_hand(hop, query).items())
        for query in queries
    ]
    return torch.stack(rows)


def gradient_of(total: torch.Tensor, hop: Hop, queries: torch.Tensor) -> torch.Tensor:
    """The gradient in the queries and all weights, as one vector."""
    leaves = [queries, *hop.parameters()]
    gradients = torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in gradients])


@pytest.mark.parametrize(
    "options",
    [{}, {"steps": 3}, {"stops": True}, {"steps": 3, "stops": True}, {"repeats": False}, {"steps": 1}],
    ids=str,
)
@pytest.mark.parametrize("how", ["beam", "distinct"])
def test_wide_enough_it_is_the_enumeration_of_all_paths_forward_and_backward(how, options):
    hop, queries = made(**options), QUERIES.clone().requires_grad_()
    paths = hop.paths(queries, how=how, width=200)
    assert paths.label is Label.EXACT
    torch.testing.assert_close(paths.mass, torch.ones(B, dtype=torch.float64), atol=1e-12, rtol=0)
    for at in range(B):
        wanted = by_hand(hop, QUERIES[at])
        found = {
            tuple(z for z in ids if z >= 0): chance
            for ids, chance, real in zip(
                paths.ids[at].tolist(), paths.log_probability[at].exp(), paths.where[at], strict=True
            )
            if real
        }
        assert found.keys() == wanted.keys()
        for path, chance in wanted.items():
            torch.testing.assert_close(found[path], chance, atol=1e-12, rtol=0)
    ours, exact = paths.expected(outcomes(paths.ids)), expectation(hop, queries)
    torch.testing.assert_close(ours, exact, atol=1e-12, rtol=0)
    torch.testing.assert_close(
        gradient_of(ours.sum(), hop, queries), gradient_of(exact.sum(), hop, queries), atol=1e-12, rtol=0
    )


def test_one_step_is_retrieve():
    hop, memory = made(steps=1), Memory(KEYS, VALUES)
    wanted = retrieve(QUERIES, memory, TopK(N), temperature=TAU)
    torch.testing.assert_close(hop(QUERIES), wanted, atol=1e-14, rtol=0)
    paths = hop.paths(QUERIES, width=N)
    mixed = torch.stack([paths.expected(paths.values[..., 0, e]) for e in range(E)], -1)
    torch.testing.assert_close(mixed, wanted, atol=1e-14, rtol=0)
    few = hop.paths(QUERIES, width=2)
    hits = memory.search(QUERIES, TopK(2))
    assert torch.equal(few.ids[..., 0], hits.ids)
    torch.testing.assert_close(few.log_prob(), hits.log_prob(TAU), atol=1e-14, rtol=0)


@pytest.mark.parametrize("stops", [False, True])
def test_soft_hops_are_the_recursion_of_mixtures(stops):
    hop = made(steps=3, stops=stops)
    point, mixtures, halts = QUERIES, [], []
    for step in range(3):
        if step:
            point = hop.update(mixtures[-1], point)
            halts.append(torch.sigmoid(hop.stop(point)) if stops else torch.zeros(B, 1).double())
        mixtures.append((point @ KEYS.T / TAU).softmax(-1) @ VALUES)
    first, second = halts
    wanted = first * mixtures[0] + (1 - first) * (second * mixtures[1] + (1 - second) * mixtures[2])
    torch.testing.assert_close(hop(QUERIES), wanted, atol=1e-13, rtol=0)
    weights = list(hop.parameters())
    assert torch.autograd.gradcheck(lambda u, *_: hop(u), (QUERIES.clone().requires_grad_(), *weights))


def test_a_cold_soft_hop_follows_the_best_single_entries():
    hop = made(steps=3)
    hop.temperature = 1e-6
    paths = hop.paths(QUERIES, width=1)
    torch.testing.assert_close(hop(QUERIES), paths.values[:, 0, -1], atol=1e-9, rtol=0)


@pytest.mark.parametrize("stops", [False, True])
def test_a_narrow_beam_says_what_it_misses_and_bounds_the_sum_from_below(stops):
    hop = made(steps=2, stops=stops)
    exact = expectation(hop, QUERIES)
    before = torch.zeros(B, dtype=torch.float64)
    for width in (1, 3, 8):
        paths = hop.paths(QUERIES, width=width)
        assert paths.label is Label.BIASED
        assert paths.ids.shape == (B, width, 2)
        torch.testing.assert_close(paths.mass, paths.log_probability.exp().sum(-1))
        missed = exact - paths.expected(outcomes(paths.ids))
        assert bool((missed > 0).all())
        assert bool((missed <= (1 - paths.mass) * OUTCOME.max()).all())
        assert bool((before < paths.mass).all())
        before = paths.mass.detach()


def test_known_ends_are_weighed_by_every_path_beside_the_best_of_the_rest():
    hop, ends = made(k=1), torch.tensor([[3, -1], [1, 2]])
    paths = hop.paths(QUERIES, width=20, ends=ends)
    for row, known in enumerate([[3], [1, 2]]):
        first = int((KEYS @ QUERIES[row]).argmax())
        scores = KEYS @ hop.update(VALUES[first : first + 1], QUERIES[row : row + 1])[0]
        best = max((entry for entry in range(N) if entry not in known), key=lambda entry: scores[entry])
        found = paths.ids[row][paths.where[row]]
        assert sorted(found.tolist()) == sorted([first, end] for end in [*known, best])
        expected = (scores[found[:, 1]] / TAU).log_softmax(-1)
        torch.testing.assert_close(paths.log_probability[row][paths.where[row]], expected)
    assert paths.label is Label.BIASED
    assert paths.mass.isnan().all()


def test_a_known_end_that_a_path_has_been_to_is_no_end_where_entries_may_not_repeat():
    hop = made(k=2, repeats=False)
    paths = hop.paths(QUERIES, width=20, ends=torch.arange(N).expand(B, N))
    for ids, where in zip(paths.ids, paths.where, strict=True):
        firsts = {first for first, _ in ids[where].tolist()}
        every = {(first, last) for first in firsts for last in range(N) if first != last}
        assert {tuple(path) for path in ids[where].tolist()} == every


def test_searches_that_leave_entries_out_make_the_mass_unknown():
    paths = made(k=2).paths(QUERIES, width=100)
    assert paths.label is Label.BIASED
    assert paths.mass.isnan().all()
    hop = made()
    hop.proposal = Uniform(2)
    assert hop.paths(QUERIES, width=100).label is Label.CONSISTENT


TIMES = 6000
"""One query as often as that in a batch: each row of the gradient is that of a draw of its own."""


def agree(drawn_: torch.Tensor, wanted: torch.Tensor) -> bool:
    """Whether the mean of draws (times, m) is within four standard errors of what is wanted (m,)."""
    error = drawn_.std(0) / math.sqrt(len(drawn_))
    assert bool((error > 0).all())
    return bool(((drawn_.mean(0) - wanted).abs() <= 4 * error).all())


def truth(hop: Hop) -> tuple[torch.Tensor, torch.Tensor]:
    query = QUERIES[:1].clone().requires_grad_()
    exact = expectation(hop, query)
    return exact.detach(), torch.autograd.grad(exact.sum(), query)[0][0]


@pytest.mark.parametrize("how", ["sample", "distinct"])
@pytest.mark.parametrize("stops", [False, True])
def test_draws_are_unbiased_in_value_and_gradient(how, stops):
    hop, generator = made(stops=stops), torch.Generator().manual_seed(0)
    queries = QUERIES[:1].expand(TIMES, D).clone().requires_grad_()
    paths = hop.paths(queries, how=how, width=3, generator=generator)
    estimates = paths.expected(outcomes(paths.ids))
    value, gradient = truth(hop)
    assert agree(estimates.detach().unsqueeze(-1), value)
    assert agree(torch.autograd.grad(estimates.sum(), queries)[0], gradient)
    assert paths.label is Label.CONSISTENT
    assert paths.mass.isnan().all() == (how == "sample")


def test_leave_one_out_has_the_exact_gradient_as_its_mean():
    hop, generator = made(), torch.Generator().manual_seed(1)
    queries = QUERIES[:1].expand(TIMES, D).clone().requires_grad_()
    paths = hop.paths(queries, how="sample", width=4, generator=generator)
    loss = TIMES * reinforce(paths.log_probability, outcomes(paths.ids))
    assert agree(torch.autograd.grad(loss, queries)[0], -truth(hop)[1])


def test_draws_without_replacement_are_distinct_and_the_likely_ones_come_often():
    hop, generator, seen = made(), torch.Generator().manual_seed(0), {}
    paths = hop.paths(QUERIES[:1].expand(200, D), how="distinct", width=3, generator=generator)
    for found in paths.ids.tolist():
        assert len(set(map(tuple, found))) == 3
        for path in map(tuple, found):
            seen[path] = seen.get(path, 0) + 1
    wanted = {path: float(chance.detach()) for path, chance in by_hand(hop, QUERIES[0]).items()}
    likely = max(wanted, key=lambda path: wanted[path])
    assert max(seen, key=lambda path: seen[path]) == likely


def test_a_path_that_may_not_repeat_ends_when_nothing_is_left():
    paths = made(steps=6, repeats=False).paths(QUERIES, width=100)
    assert paths.label is Label.EXACT
    assert paths.where.sum(-1).tolist() == [math.factorial(N)] * B
    assert bool((paths.ids[..., N:] == -1).all())
    assert not paths.values[..., N:, :].any()
    assert all(len(set(path[:N])) == N for path in paths.ids[0][paths.where[0]].tolist())
    torch.testing.assert_close(paths.mass, torch.ones(B, dtype=torch.float64))


@pytest.mark.parametrize("how", WAYS)
def test_leading_dimensions_values_of_any_shape_and_the_loss_of_a_reader(how):
    memory = Memory(KEYS, drawn(N, 2, 5))
    hop = Hop(memory, TopK(3), lambda values, queries: queries + values.sum((1, 2)).unsqueeze(-1))
    queries = drawn(2, 3, D).requires_grad_()
    paths = hop.paths(queries, how=how, width=5)
    assert paths.values.shape == (2, 3, 5, 2, 2, 5)
    assert paths.ids.shape == (2, 3, 5, 2)
    assert paths.mass.shape == (2, 3)
    assert hop(queries).shape == (2, 3, 2, 5)
    loss = marginal_nll(paths.log_prob(), paths.values.mean((-1, -2, -3)), where=paths.where)
    loss.backward()
    assert queries.grad.isfinite().all()
    assert queries.grad.any()


def test_a_cache_before_the_memory_changes_nothing():
    plain = made(k=2, repeats=False)
    cached = Hop(Cached(Memory(KEYS, VALUES)), TopK(2), plain.update, temperature=TAU, repeats=False)
    one, two = (hop.paths(QUERIES, width=3) for hop in (plain, cached))
    assert torch.equal(one.ids, two.ids)
    assert torch.equal(one.log_probability, two.log_probability)
    assert torch.equal(plain(QUERIES), cached(QUERIES))


def test_an_empty_memory_gives_empty_paths():
    hop = Hop(Memory(torch.zeros(0, D).double()), TopK(2), lambda values, queries: queries)
    for how in WAYS:
        paths = hop.paths(QUERIES, how=how, width=3)
        assert bool((paths.ids == -1).all())
    assert torch.equal(hop(QUERIES), torch.zeros(B, D).double())


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="steps=0"):
        made(steps=0)
    with pytest.raises(ValueError, match="beam, sample, distinct"):
        made().paths(QUERIES, how="best")
    with pytest.raises(ValueError, match="width=0"):
        made().paths(QUERIES, width=0)
