"""A learnt temperature: between its bounds, never stuck at one, and lowered when told to."""

import math

import pytest
import torch

from retrograd.ops.temperature import Temperature


def test_descent_moves_it_stops_at_the_bound_and_comes_back():
    temperature = Temperature(init=0.5, low=0.1, high=1.0)
    optimiser = torch.optim.SGD(temperature.parameters(), lr=0.5)
    for sign, bound in ((1.0, 0.1), (-1.0, 1.0), (1.0, 0.1)):
        for _ in range(100):
            optimiser.zero_grad()
            (sign * temperature().log()).backward()
            optimiser.step()
        assert float(temperature().detach()) == pytest.approx(bound)


def test_within_its_bounds_the_gradient_is_that_of_the_exponential():
    temperature = Temperature(init=0.3)
    temperature().backward()
    assert float(temperature.log_value.grad) == pytest.approx(0.3)


def test_annealing_multiplies_and_respects_the_bound():
    temperature = Temperature(init=0.8, low=0.1, high=1.0)
    temperature.anneal(0.5)
    assert float(temperature().detach()) == pytest.approx(0.4)
    for _ in range(9):
        temperature.anneal(0.5)
    assert float(temperature.log_value.detach()) == pytest.approx(math.log(0.1))


def test_bounds_that_do_not_hold_the_start_are_refused():
    for bounds in ({"init": 2.0}, {"init": 0.001}, {"low": 0.0}, {"high": math.inf}):
        with pytest.raises(ValueError, match="must lie between"):
            Temperature(**bounds)
    with pytest.raises(ValueError, match="rate"):
        Temperature().anneal(0.0)
