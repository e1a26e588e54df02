"""Gumbel draws: their law, draws without replacement as Plackett and Luce have them, and the relaxed form."""

import itertools

import torch

from retrograd.losses.policy import plackett_luce_log_probability
from retrograd.ops.gumbel import gumbel_noise, gumbel_topk, sample_topk

EULER = 0.5772156649


def test_noise_has_the_mean_and_spread_of_its_law_and_obeys_its_generator():
    draw = [gumbel_noise(torch.zeros(40_000), generator=torch.Generator().manual_seed(1)) for _ in range(2)]
    assert torch.equal(*draw)
    spread = torch.pi / 6**0.5
    assert abs(float(draw[0].mean()) - EULER) < 4 * spread / 200
    assert abs(float(draw[0].std()) - spread) < 0.03
    assert bool(torch.isfinite(draw[0]).all())


def test_pairs_are_drawn_as_often_as_plackett_and_luce_say():
    logits, count = torch.tensor([1.0, 0.0, -1.0, 0.5]), 40_000
    pairs = sample_topk(logits.expand(count, 4), 2, generator=torch.Generator().manual_seed(0))
    for pair in itertools.permutations(range(4), 2):
        expected = float(plackett_luce_log_probability(logits, torch.tensor(pair)).exp())
        seen = float((pairs == torch.tensor(pair)).all(-1).float().mean())
        assert abs(seen - expected) < 4 * (expected * (1 - expected) / count) ** 0.5


def test_masked_entries_are_drawn_last():
    where = torch.tensor([True, False, True])
    for seed in range(20):
        order = sample_topk(torch.zeros(3), 3, where=where, generator=torch.Generator().manual_seed(seed))
        assert int(order[2]) == 1


def test_the_relaxed_form_at_a_low_temperature_is_the_draw_with_the_same_noise():
    scores = torch.randn(50, 9, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    relaxed = gumbel_topk(scores, 3, temperature=1e-9, generator=torch.Generator().manual_seed(3))
    drawn = sample_topk(scores, 3, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(relaxed, torch.zeros_like(scores).scatter(-1, drawn, 1.0))
