"""Token cross-entropy: padding and absent tokens change nothing, and it is the sum of log-probabilities."""

from math import log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.losses.sequence import token_cross_entropy

seeds = st.integers(0, 2**31)
smoothings = st.sampled_from([0.0, 0.1])


def drawn(seed: int, batch: int = 3, levels: int = 4, vocab: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, levels, vocab, generator=generator)
    targets = torch.randint(vocab, (batch, levels), generator=generator)
    lengths = torch.randint(1, levels + 1, (batch, 1), generator=generator)
    return logits, targets.where(torch.arange(levels) < lengths, torch.tensor(-1))


@given(seeds)
def test_it_is_the_mean_over_sequences_of_summed_log_probabilities(seed):
    logits, targets = drawn(seed)
    log_p = logits.log_softmax(-1)
    expected = -sum(
        log_p[b, level, token]
        for b, row in enumerate(targets.tolist())
        for level, token in enumerate(row)
        if token >= 0
    )
    torch.testing.assert_close(token_cross_entropy(logits, targets), expected / len(targets))


@given(seeds, smoothings)
def test_padded_levels_sequences_and_absent_tokens_change_nothing(seed, smoothing):
    logits, targets = drawn(seed)
    wide = torch.full((5, 6, 7), -torch.inf)
    wide[:3, :4, :5] = logits
    padded = torch.full((5, 6), -1)
    padded[:3, :4] = targets
    wide.requires_grad_()
    loss = token_cross_entropy(wide, padded, label_smoothing=smoothing)
    torch.testing.assert_close(loss, token_cross_entropy(logits, targets, label_smoothing=smoothing))
    (gradient,) = torch.autograd.grad(loss, wide)
    assert torch.isfinite(gradient).all()
    assert (gradient[padded < 0] == 0).all()


def test_smoothing_is_torchs_where_every_token_exists():
    logits, targets = drawn(0)
    expected = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=-1, label_smoothing=0.1, reduction="sum"
    )
    torch.testing.assert_close(token_cross_entropy(logits, targets, label_smoothing=0.1), expected / 3)


def test_uniform_logits_cost_the_log_of_the_tokens_that_exist():
    logits = torch.tensor([[[0.0, 0.0, -torch.inf], [0.0, 0.0, 0.0]]])
    for smoothing in (0.0, 0.3):
        loss = token_cross_entropy(logits, torch.tensor([[1, 2]]), label_smoothing=smoothing)
        assert loss.item() == pytest.approx(log(2) + log(3))


@pytest.mark.parametrize("batch", [0, 2])
def test_nothing_to_learn_costs_nothing(batch):
    logits = torch.zeros(batch, 3, 4, requires_grad=True)
    for smoothing in (0.0, 0.1):
        loss = token_cross_entropy(logits, torch.full((batch, 3), -1), label_smoothing=smoothing)
        assert loss.item() == 0
        loss.backward()
