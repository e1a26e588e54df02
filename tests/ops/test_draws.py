"""Draws: distinct, in range, each set as likely as any other."""

import itertools
from collections import Counter
from math import comb, sqrt

import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.ops.draws import draw_distinct, skip_excluded


@given(
    population=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    count=st.integers(1, 7),
    seed=st.integers(0),
)
def test_draws_are_distinct_in_range_and_as_many_as_there_are(population, count, seed):
    generator = torch.Generator().manual_seed(seed % 2**60)
    for size, row in zip(
        population, draw_distinct(torch.tensor(population), count, generator=generator), strict=True
    ):
        drawn = row[row >= 0].tolist()
        assert len(set(drawn)) == len(drawn) == min(size, count)
        assert all(number < size for number in drawn)


def test_every_set_is_as_likely_as_any_other():
    times, size, count = 20_000, 5, 2
    drawn = draw_distinct(torch.full((times,), size), count, generator=torch.Generator().manual_seed(0))
    seen = Counter(frozenset(row) for row in drawn.tolist())
    chance = 1 / comb(size, count)
    error = sqrt(chance * (1 - chance) / times)
    for chosen in itertools.combinations(range(size), count):
        assert abs(seen[frozenset(chosen)] / times - chance) < 4 * error


@given(excluded=st.sets(st.integers(0, 9), max_size=6), padding=st.integers(0, 2))
def test_ranks_run_through_what_is_not_excluded(excluded, padding):
    left = [number for number in range(10) if number not in excluded]
    barred = torch.tensor([[*excluded, *[-1] * padding]], dtype=torch.int64)
    ranks = torch.arange(len(left)).unsqueeze(0)
    assert skip_excluded(ranks, barred).tolist() == [left]
