"""Blocks: padding is invisible, the future is hidden, distances share buckets as published."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.models.blocks import BlockShape, DecoderStack, EncoderStack, Packing, relative_buckets


def shape(**options):
    sizes = {"width": 12, "layers": 2, "heads": 3, "feed_forward": 2} | options
    return BlockShape.of_width(**sizes)


@given(st.integers(1, 5), st.integers(1, 4), st.sampled_from(["relu", "gated_gelu"]), st.booleans())
def test_padding_changes_nothing(length, padding, activation, relative):
    torch.manual_seed(0)
    options = shape(activation=activation, relative_positions=relative)
    encoder, decoder = EncoderStack(options).eval(), DecoderStack(options).eval()
    states, targets = torch.randn(2, length + padding, 12), torch.randn(2, 3, 12)
    where = (torch.arange(length + padding) < length).expand(2, -1)
    alone = encoder(states[:, :length], where[:, :length])
    torch.testing.assert_close(encoder(states, where)[:, :length], alone)
    torch.testing.assert_close(
        decoder(targets, states, where), decoder(targets, states[:, :length], where[:, :length])
    )


@given(st.integers(2, 6), st.integers(0, 99))
def test_a_decoder_never_sees_the_future(length, seed):
    torch.manual_seed(seed)
    decoder = DecoderStack(shape()).eval()
    targets, memory, where = (
        torch.randn(1, length, 12),
        torch.randn(1, 2, 12),
        torch.ones(1, 2, dtype=torch.bool),
    )
    before = decoder(targets, memory, where)
    changed = targets.clone()
    changed[:, -1] += 1.0
    torch.testing.assert_close(decoder(changed, memory, where)[:, :-1], before[:, :-1])


def test_without_relative_positions_an_encoder_reads_a_bag():
    encoder = EncoderStack(shape(relative_positions=False)).eval()
    states, where = torch.randn(1, 5, 12), torch.ones(1, 5, dtype=torch.bool)
    order = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(encoder(states[:, order], where), encoder(states, where)[:, order])


@given(st.booleans(), st.integers(2, 150))
def test_near_distances_have_buckets_of_their_own_and_far_ones_the_last(both_ways, length):
    buckets = relative_buckets(length, length, both_ways=both_ways, buckets=32, max_distance=128)
    half = 16 if both_ways else 32
    assert int(buckets.min()) == 0
    assert int(buckets.max()) < 32
    behind = buckets[-1].flip(0)  # distance 0, 1, 2, ... back from the last position
    assert behind[: half // 2].tolist() == list(range(min(half // 2, length)))
    assert (behind.diff() >= 0).all()
    assert (behind[128:] == half - 1).all()
    ahead = buckets[0]
    assert (ahead[1:] >= 16).all() if both_ways else (ahead == 0).all()


@pytest.mark.parametrize(
    "options", [{"heads": 5}, {"heads": 0}, {"layers": 0}, {"activation": "tanh"}, {"dropout": 1.0}]
)
def test_impossible_shapes_are_refused(options):
    with pytest.raises(ValueError):
        shape(**options)


@given(st.integers(0, 99))
def test_leaving_padding_out_changes_neither_states_nor_gradients(seed):
    torch.manual_seed(seed)
    encoder, states = EncoderStack(shape()), torch.randn(3, 5, 12)
    where = torch.rand(3, 5) < 0.6
    where[:, 0] = True  # somewhere, not only behind the last
    weights = torch.randn(3, 5, 12) * where[..., None]

    def run():
        encoder.zero_grad()
        given = states.clone().requires_grad_()
        found = encoder(given, where) * where[..., None]
        (found * weights).sum().backward()
        return [found, given.grad, *(weight.grad for weight in encoder.parameters())]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Packing, "of", classmethod(lambda cls, where: None))
        plain = run()
    assert Packing.of(where) is not None or bool(where.all())
    for one, other in zip(run(), plain, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_a_batch_without_padding_is_not_packed():
    assert Packing.of(torch.ones(2, 3, dtype=torch.bool)) is None
