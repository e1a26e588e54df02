"""Exact search over tensors: brute force, whatever the batch, the mask and the ties."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.indexes import exhaustive
from retrograd.indexes.exhaustive import nearest_rows

N, D = 70, 4


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(seed=st.integers(0, 2**31), k=st.integers(1, N + 3), share=st.floats(0, 1))
def test_rows_are_those_of_brute_force_among_those_allowed(seed, k, share):
    keys, queries = drawn(N, D, seed=seed), drawn(3, D, seed=seed + 1)
    where = torch.rand(3, N, generator=torch.Generator().manual_seed(seed)) < share
    exact = (
        (queries.double() @ keys.double().T)
        .masked_fill(~where, -torch.inf)
        .sort(descending=True, stable=True)
    )
    wanted = exact.indices.masked_fill(exact.values == -torch.inf, -1)[:, :k]
    assert torch.equal(nearest_rows(keys, queries, k, where), wanted)
    one = nearest_rows(keys, queries[:1], k, where[0])
    assert torch.equal(one, wanted[:1])


def test_blocks_of_queries_change_nothing(monkeypatch):
    keys, queries = drawn(N, D), drawn(9, D, seed=1)
    whole = nearest_rows(keys, queries, 5)
    monkeypatch.setattr(exhaustive, "_NUMBERS_AT_ONCE", 2 * N)
    assert torch.equal(nearest_rows(keys, queries, 5), whole)


def test_ties_are_broken_by_row_however_many_there_are():
    keys = torch.ones(N, D)
    keys[40] = 2
    assert nearest_rows(keys, torch.ones(1, D), 4).tolist()[0][0] == 40
    assert nearest_rows(keys, torch.ones(1, D), N).tolist() == [[40, *(row for row in range(N) if row != 40)]]
