"""Cached decoding computes what teacher forcing computes, however prefixes are reordered."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.models.blocks import BlockShape, DecoderStack
from retrograd.models.cached_decoder import cached_step, start_cache

BATCH, WIDTH = 2, 8


@pytest.mark.parametrize("slots", [2, 30])  # folded into the memory, and not
@given(
    seed=st.integers(0, 99),
    beams=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    activation=st.sampled_from(["relu", "gated_gelu"]),
    relative=st.booleans(),
)
def test_a_step_equals_the_last_position_of_a_teacher_forced_pass(slots, seed, beams, activation, relative):
    torch.manual_seed(seed)
    shape = BlockShape.of_width(
        WIDTH, layers=2, heads=2, feed_forward=2, activation=activation, relative_positions=relative
    )
    stack = DecoderStack(shape).eval()
    memory, where = torch.randn(BATCH, slots, WIDTH), torch.rand(BATCH, slots) < 0.7
    where[:, 0] = True
    with torch.no_grad():
        cache = start_cache(stack, memory, where, depth=5)
        prefixes = torch.zeros(BATCH, 1, 0, WIDTH)
        for count in [1, *beams]:
            before = prefixes.shape[1]
            place = torch.randint(before, (BATCH, count))
            parent = (place + torch.arange(BATCH).unsqueeze(1) * before).flatten()
            token = torch.randn(BATCH, count, 1, WIDTH)
            kept = prefixes.flatten(0, 1)[parent].view(BATCH, count, -1, WIDTH)
            prefixes = torch.cat([kept, token], dim=2)
            states, cache = cached_step(cache, token.reshape(-1, WIDTH), parent)
            expected = stack(
                prefixes.flatten(0, 1),
                memory.repeat_interleave(count, dim=0),
                where.repeat_interleave(count, dim=0),
            )[:, -1]
            torch.testing.assert_close(states, expected, atol=1e-5, rtol=1e-4)


def test_a_cache_branches_two_steps_from_one_prefix_do_not_disturb_each_other():
    torch.manual_seed(0)
    stack = DecoderStack(BlockShape.of_width(WIDTH, layers=1, heads=2, feed_forward=2)).eval()
    one, two = torch.randn(2, BATCH, WIDTH)
    with torch.no_grad():
        cache = start_cache(
            stack, torch.randn(BATCH, 3, WIDTH), torch.ones(BATCH, 3, dtype=torch.bool), depth=2
        )
        _, root = cached_step(cache, torch.randn(BATCH, WIDTH), None)
        first, _ = cached_step(root, one, None)
        cached_step(root, two, None)
        again, _ = cached_step(root, one, None)
    assert torch.equal(first, again)
