"""Hyperplanes: collisions by angle, as simulated."""

import math

import pytest
import torch

from retrograd.indexes.hashing import LSH


@pytest.mark.parametrize(("tables", "bits"), [(1, 1), (1, 3), (4, 3)])
@pytest.mark.parametrize("angle", [0.3, 1.2, 2.5])
def test_inclusion_is_what_simulation_says(tables, bits, angle):
    times, generator = 20_000, torch.Generator().manual_seed(0)
    pair = torch.tensor([[1.0, 0.0], [math.cos(angle), math.sin(angle)]], dtype=torch.float64)
    planes = torch.randn(times, tables, bits, 2, generator=generator, dtype=torch.float64)
    signs = planes @ pair.T > 0
    together = (signs[..., 0] == signs[..., 1]).all(-1).any(-1).double()
    declared = float(LSH(tables=tables, bits=bits).inclusion(torch.tensor(angle, dtype=torch.float64)))
    assert abs(float(together.mean()) - declared) < 4 * math.sqrt(declared * (1 - declared) / times)


def test_equal_directions_are_certain_and_opposite_ones_nearly_impossible():
    lsh = LSH(tables=2, bits=3)
    assert float(lsh.inclusion(torch.tensor(0.0))) == pytest.approx(1)
    assert float(lsh.inclusion(torch.tensor(math.pi))) < 1e-6
