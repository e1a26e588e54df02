"""Expected costs equal the enumeration of every set of parts that may be opened."""

import itertools

import pytest
import torch

from retrograd.losses.routing import expected_cost, expected_longest, expected_segments

C = 6


@pytest.fixture
def case() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    draws = torch.rand(6, C, generator=generator, dtype=torch.float64)
    return {
        "probabilities": draws[0],
        "bytes_read": 100 * draws[1],
        "serial_latency": draws[2],
        "parallel_latency": draws[3],
        "cached": draws[4],
        "segments": torch.tensor([0, 2, 2, 0, 1, 2]),
        "wanted": draws[5] / draws[5].sum(),
    }


def enumerated(case: dict[str, torch.Tensor]) -> dict[str, float]:
    """Every cost of every one of the 2^C sets, times its probability."""
    totals = dict.fromkeys([name for name in case if name != "probabilities"], 0.0)
    for opened in itertools.product((False, True), repeat=C):
        is_open = torch.tensor(opened)
        p = case["probabilities"]
        chance = float(torch.where(is_open, p, 1 - p).prod())
        costs = {
            "bytes_read": case["bytes_read"][is_open].sum(),
            "serial_latency": case["serial_latency"][is_open].sum(),
            "parallel_latency": max([0.0, *case["parallel_latency"][is_open].tolist()]),
            "cached": (1 - case["cached"])[is_open].sum(),
            "segments": len(set(case["segments"][is_open].tolist())),
            "wanted": case["wanted"][~is_open].sum(),
        }
        for name, cost in costs.items():
            totals[name] += chance * float(cost)
    return totals


def test_each_cost_is_its_mean_over_all_sets(case):
    found, expected = expected_cost(**case), enumerated(case)
    assert set(found) == set(expected)
    for name, cost in found.items():
        assert cost.item() == pytest.approx(expected[name], abs=1e-12), name


def test_only_what_is_given_is_reckoned(case):
    assert expected_cost(case["probabilities"]) == {}
    assert set(expected_cost(case["probabilities"], wanted=case["wanted"])) == {"wanted"}


def test_certain_choices_cost_what_they_cost():
    chosen = torch.tensor([1.0, 0.0, 1.0])
    assert expected_longest(chosen, torch.tensor([1.0, 9.0, 4.0])).item() == 4
    assert expected_segments(chosen, torch.tensor([5, 1, 5])).item() == 1
    assert expected_longest(torch.zeros(3), torch.ones(3)).item() == 0
    assert expected_segments(torch.zeros(2, 0), torch.zeros(0, dtype=torch.int64)).tolist() == [0, 0]


def test_parts_that_are_never_opened_and_their_order_change_nothing(case):
    order = torch.randperm(C)
    shuffled = expected_cost(**{name: value[order] for name, value in case.items()})
    padded = {name: torch.cat([value, torch.zeros(1).to(value)]) for name, value in case.items()}
    for name, cost in expected_cost(**case).items():
        torch.testing.assert_close(shuffled[name], cost)
        torch.testing.assert_close(expected_cost(**padded)[name], cost)


def test_gradients_are_right_twice_and_costs_linear_in_each_probability(case):
    p = case.pop("probabilities").requires_grad_()

    def total(p):
        return torch.stack(list(expected_cost(p, **case).values()))

    assert torch.autograd.gradcheck(total, p)
    assert torch.autograd.gradgradcheck(total, p)
    ends = []
    for value in (0.0, 0.5, 1.0):
        at = p.detach().clone()
        at[2] = value
        ends.append(total(at))
    torch.testing.assert_close(ends[1], (ends[0] + ends[2]) / 2)


def test_opening_what_is_worth_its_cost_is_the_optimum(case):
    """With miss and bytes alone the cost is linear: open a part exactly if `mu * wanted > bytes`."""
    mu = 300.0
    best = min(
        itertools.product((0.0, 1.0), repeat=C),
        key=lambda opened: sum(
            float(cost) * (mu if name == "wanted" else 1)
            for name, cost in expected_cost(
                torch.tensor(opened, dtype=torch.float64),
                bytes_read=case["bytes_read"],
                wanted=case["wanted"],
            ).items()
        ),
    )
    assert torch.equal(torch.tensor(best) == 1, mu * case["wanted"] > case["bytes_read"])
