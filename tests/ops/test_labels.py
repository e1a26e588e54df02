"""Labels: the algebra of what may be believed."""

import itertools

import pytest
import torch

from retrograd.ops.labels import Label, independent_inclusion, strongest, weakest

EXACT, CONSISTENT, BIASED = Label


def test_steps_are_as_good_as_the_worst_and_stages_as_the_best():
    assert weakest() is EXACT
    assert strongest() is BIASED
    for one, other in itertools.product(Label, Label):
        assert weakest(one, other) is weakest(other, one)
        assert strongest(one, other) is strongest(other, one)
        assert {weakest(one, other), strongest(one, other)} == {one, other}
    assert weakest(EXACT, CONSISTENT) is CONSISTENT
    assert strongest(CONSISTENT, BIASED) is CONSISTENT


@pytest.mark.parametrize("chances", [[0.3], [0.2, 0.9], [0.0, 0.5, 1.0]])
def test_independent_inclusion_is_the_chance_that_not_all_miss(chances):
    missed = 1.0
    for chance in chances:
        missed *= 1 - chance
    found = independent_inclusion(torch.tensor(chances, dtype=torch.float64))
    assert float(found) == pytest.approx(1 - missed, abs=1e-15)
