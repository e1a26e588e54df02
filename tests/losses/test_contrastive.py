"""In-batch contrastive loss: masked candidates change nothing, the positive is always a candidate."""

from math import exp, log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.losses.contrastive import in_batch_contrastive


@given(st.integers(0, 2**31))
def test_masked_candidates_change_nothing(seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(3, 4, generator=generator)
    positives = torch.randint(4, (3,), generator=generator)
    wide = torch.cat([scores, torch.full((3, 2), 1e9)], dim=1)
    where = torch.arange(6).expand(3, 6) < 4
    torch.testing.assert_close(
        in_batch_contrastive(wide, positives, where=where), in_batch_contrastive(scores, positives)
    )


def test_the_positive_counts_even_where_it_is_masked():
    scores = torch.tensor([[1.0, 0.0]])
    loss = in_batch_contrastive(scores, torch.tensor([0]), where=torch.tensor([[False, True]]))
    assert loss.item() == pytest.approx(log(1 + exp(-1.0)))


def test_an_empty_batch_costs_nothing():
    assert in_batch_contrastive(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)).item() == 0
