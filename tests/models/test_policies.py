"""Policies: distributions by enumeration, exact costs with their gradients, draws without bias."""

import itertools
import math

import pytest
import torch
from torch import nn

from retrograd.losses import reinforce
from retrograd.models.policies import LABELS, ExpandPolicy, ProbePolicy, RerankPolicy, StoppingPolicy
from retrograd.ops.labels import Label
from retrograd.ops.straight_through import hard_topk

F, A, T, B, TIMES = 3, 4, 4, 2, 20_000


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def moved(policy: nn.Module) -> nn.Module:
    """The policy with weights that are not those of the start."""
    with torch.no_grad():
        for at, weight in enumerate(policy.double().parameters()):
            weight += drawn(*weight.shape, seed=at)
    return policy


def gradient(loss: torch.Tensor, policy: nn.Module) -> torch.Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(policy.parameters()))])


def unbiased(policy: nn.Module, found, reward, exact: torch.Tensor) -> None:
    """Leave-one-out over many like episodes: its mean gradient is that of minus the exact mean reward."""
    parts = []
    for rows in torch.arange(TIMES).chunk(40):
        loss = reinforce(found.log_probability[rows], reward(found.actions[rows]))
        parts.append(gradient_kept(loss, policy))
    means = torch.stack(parts)
    error, wanted = means.std(0) / math.sqrt(len(means)), gradient(-exact, policy)
    assert bool(((means.mean(0) - wanted).abs() <= 4 * error + 1e-12).all())
    assert float(wanted.norm()) > 5 * float(error.norm())  # else nothing would have been shown


def gradient_kept(loss: torch.Tensor, policy: nn.Module) -> torch.Tensor:
    gradients = torch.autograd.grad(loss, list(policy.parameters()), retain_graph=True)
    return torch.cat([g.flatten() for g in gradients])


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


# When to stop.


@pytest.mark.parametrize("hidden", [0, 5])
def test_the_cost_of_stopping_is_the_sum_over_all_episodes_with_its_gradient(hidden):
    policy, features, losses = moved(StoppingPolicy(F, hidden=hidden)), drawn(B, T, F), drawn(B, T, seed=1)
    halts = torch.sigmoid(policy(features))
    total = torch.zeros((), dtype=torch.float64)
    for row in range(B):
        for stops in itertools.product(
            (False, True), repeat=T - 1
        ):  # would it stop at each step but the last
            chances = [h if s else 1 - h for h, s in zip(halts[row], stops, strict=False)]
            step = stops.index(True) if any(stops) else T - 1
            total = total + torch.stack(chances).prod() * (losses[row, step] + 0.3 * (step + 1)) / B
    found = policy.expected_cost(features, losses, cost_per_step=0.3)
    torch.testing.assert_close(found, total, atol=1e-12, rtol=0)
    torch.testing.assert_close(gradient(found, policy), gradient(total, policy), atol=1e-12, rtol=0)
    assert torch.autograd.gradcheck(
        lambda f, c: policy.expected_cost(f, losses, cost_per_step=c),
        (features.requires_grad_(), torch.tensor(0.3, dtype=torch.float64, requires_grad=True)),
    )


def test_an_untrained_one_stops_with_its_initial_chance():
    policy = StoppingPolicy(F, initial=0.2)
    stops = policy.distribution(torch.randn(5, 3, F))
    torch.testing.assert_close(stops, torch.tensor([0.2, 0.16, 0.64]).expand(5, 3))
    with pytest.raises(ValueError, match=r"initial=1\.0"):
        StoppingPolicy(F, initial=1.0)


def test_training_finds_the_cheapest_step_that_the_features_tell():
    best = torch.randint(T, (200,), generator=torch.Generator().manual_seed(0))
    losses = (torch.arange(T) < best.unsqueeze(-1)).double()
    features = torch.stack([losses, 1 - losses], -1)
    policy = StoppingPolicy(2).double()
    optimiser = torch.optim.Adam(policy.parameters(), lr=0.2)
    for step in range(120):
        optimiser.zero_grad()
        way = policy.imitation if step < 20 else policy.expected_cost
        way(features, losses, cost_per_step=0.1).backward()
        optimiser.step()
    cheapest = (losses + 0.1 * torch.arange(1, T + 1)).amin(-1).mean()
    found = policy.expected_cost(features, losses, cost_per_step=0.1).item()
    assert found < float(cheapest) + 0.02


def test_imitation_is_the_log_chance_of_the_cheapest_step():
    policy, features, losses = moved(StoppingPolicy(F)), drawn(5, T, F), drawn(5, T, seed=1)
    where = torch.arange(T) < torch.tensor([4, 3, 2, 1, 0]).unsqueeze(-1)
    stops = policy.distribution(features, where=where)
    wanted = []
    for row in range(4):
        real = int(where[row].sum())
        costs = losses[row, :real] + 0.2 * torch.arange(1, real + 1)
        wanted.append(-stops[row, int(costs.argmin())].log())
    found = policy.imitation(features, losses, cost_per_step=0.2, where=where)
    torch.testing.assert_close(found, torch.stack(wanted).mean(), atol=1e-12, rtol=0)


def test_drawn_stops_teach_what_the_exact_cost_teaches():
    policy, features, losses = moved(StoppingPolicy(F)), drawn(1, T, F), drawn(T, seed=1)
    wide = features.expand(TIMES, T, F)
    exact = -policy.expected_cost(features, losses.unsqueeze(0))
    unbiased(policy, policy.sample(wide, 4, generator=generator()), lambda a: -losses[a], exact)
    where = torch.tensor([True, True, False, False])
    steps = policy.sample(features, 50, where=where.unsqueeze(0)).actions
    assert int(steps.max()) <= 1


# How to expand.


def test_actions_cost_what_they_cost_on_average_and_illegal_ones_are_never_taken():
    policy, features, costs = moved(ExpandPolicy(F, A)), drawn(B, F), drawn(B, A, seed=1)
    where = torch.tensor([[True, True, False, True], [False, True, False, True]])
    chances = policy(features, where=where).exp()
    assert bool((chances[~where] == 0).all())
    torch.testing.assert_close(chances.sum(-1), torch.ones(B, dtype=torch.float64))
    wanted = torch.stack(
        [
            (policy.head(features)[row, where[row]].softmax(-1) * costs[row, where[row]]).sum()
            for row in range(B)
        ]
    ).mean()
    found = policy.expected_cost(features, costs.masked_fill(~where, torch.nan), where=where)
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=0)
    torch.testing.assert_close(gradient(found, policy), gradient(wanted, policy), atol=1e-12, rtol=0)
    actions = policy.sample(features, 200, where=where).actions
    assert bool(where.gather(-1, actions).all())


def test_drawn_actions_teach_what_the_exact_cost_teaches():
    policy, features, costs = moved(ExpandPolicy(F, A)), drawn(1, F), drawn(A, seed=1)
    wide, exact = features.expand(TIMES, F), -policy.expected_cost(features, costs.unsqueeze(0))
    unbiased(policy, policy.sample(wide, 4, generator=generator()), lambda a: -costs[a], exact)


# What to open.


def test_the_cost_of_opening_parts_is_the_sum_over_all_sets():
    policy, features = moved(ProbePolicy(F)), drawn(A, F)
    latency, segments = drawn(A, seed=1).abs(), torch.tensor([0, 1, 0, 2])
    chances = policy(features).sigmoid()
    wanted = {"parallel_latency": 0.0, "segments": 0.0}
    for opened in itertools.product((False, True), repeat=A):
        chosen = torch.tensor(opened)
        chance = torch.where(chosen, chances, 1 - chances).prod()
        wanted["parallel_latency"] += chance * (latency[chosen].max() if any(opened) else 0.0)
        wanted["segments"] += chance * len(set(segments[chosen].tolist()))
    found = policy.expected_cost(features, parallel_latency=latency, segments=segments)
    assert found.keys() == wanted.keys()
    for name, cost in found.items():
        torch.testing.assert_close(cost, wanted[name], atol=1e-12, rtol=0)
        torch.testing.assert_close(
            gradient_kept(cost, policy), gradient_kept(wanted[name], policy), atol=1e-12, rtol=0
        )


def test_drawn_sets_teach_what_the_exact_cost_teaches():
    policy, features, latency = moved(ProbePolicy(F)), 0.3 * drawn(1, A, F), drawn(A, seed=1).abs()
    wide = features.expand(TIMES, A, F)
    exact = -policy.expected_cost(features, parallel_latency=latency)["parallel_latency"].mean()
    unbiased(
        policy,
        policy.sample(wide, 4, generator=generator()),
        lambda opened: -(opened * latency).amax(-1),
        exact,
    )


# What to rerank.


def test_priorities_become_a_choice_under_the_budget():
    policy, features = moved(RerankPolicy(F)), drawn(B, 6, F)
    weights = policy.weights(features, 2, temperature=0.5)
    torch.testing.assert_close(weights.sum(-1), torch.full((B,), 2.0, dtype=torch.float64))
    cold = policy.weights(features, 2, temperature=1e-4)
    torch.testing.assert_close(cold, hard_topk(policy(features), 2), atol=1e-6, rtol=0)
    hard = policy.weights(features, 2, how="straight_through")
    torch.testing.assert_close(hard, hard_topk(policy(features), 2))
    assert gradient(hard.square().sum(), policy).any()


def test_drawn_orders_teach_what_the_mean_over_all_orders_teaches():
    policy, features, gain = moved(RerankPolicy(F)), drawn(1, 4, F), drawn(4, 4, seed=1)
    priorities, exact = policy(features)[0], 0.0
    for first, second in itertools.permutations(range(4), 2):
        left = [entry for entry in range(4) if entry != first]
        chance = priorities.softmax(-1)[first] * priorities[left].softmax(-1)[left.index(second)]
        exact = exact + chance * gain[first, second]
    wide = features.expand(TIMES, 4, F)
    unbiased(
        policy,
        policy.sample(wide, 4, 2, generator=generator()),
        lambda order: gain[order[..., 0], order[..., 1]],
        exact,
    )


def test_orders_name_different_entries_and_padding_last():
    policy, features = moved(RerankPolicy(F)), drawn(1, 4, F)
    where = torch.tensor([[True, False, True, False]])
    order, log_probability = policy.sample(features, 30, 4, where=where)
    assert order.sort(-1).values.tolist() == [[[0, 1, 2, 3]] * 30]
    assert bool(where[0][order[..., :2]].all())
    two = policy(features)[0, [0, 2]].log_softmax(-1)
    torch.testing.assert_close(log_probability[0], torch.where(order[0, :, 0] == 0, two[0], two[1]))


def test_every_method_says_what_its_gradient_is():
    kinds = (ExpandPolicy, ProbePolicy, StoppingPolicy, RerankPolicy)
    methods = {name for kind in kinds for name in vars(kind) if not name.startswith("_")}
    assert methods - {"forward", "distribution"} == set(LABELS)
    assert set(LABELS.values()) == set(Label)
