"""The compiled encoder: the states that torch computes, on every target."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.models.blocks import BlockShape, EncoderStack
from retrograd.native import EncoderShape, NativeEncoder
from retrograd.search.packing import encoder_shape_of, encoder_weights_of

ROWS = 37


class Encoder(torch.nn.Module):
    """What `search.packing` reads of a token encoder."""

    def __init__(self, shape, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.embedding = torch.nn.Parameter(torch.randn(ROWS, shape.width))
        self.stack = EncoderStack(shape)
        with torch.no_grad():
            self.stack.norm.weight.uniform_(0.5, 1.5)


shapes = st.builds(
    BlockShape,
    width=st.sampled_from([8, 12, 33]),
    layers=st.integers(1, 2),
    heads=st.integers(1, 3),
    head_width=st.sampled_from([4, 5, 16]),
    feed_forward=st.sampled_from([7, 64]),
    activation=st.sampled_from(["relu", "gated_gelu"]),
    relative_positions=st.booleans(),
)


def texts(batch, slots, seed):
    """Tokens (negative at padding) and where there is one; a text may be empty."""
    draw = np.random.default_rng(seed)
    where = draw.random((batch, slots)) < 0.7
    return np.where(where, draw.integers(0, ROWS, (batch, slots)), -1), where


def bias_of(encoder, slots):
    """(H, S, S) float32."""
    stack = encoder.stack
    if stack.positions is None:
        return np.zeros((stack.shape.heads, slots, slots), np.float32)
    return stack.positions(slots).detach().numpy()


@settings(max_examples=60)
@given(shapes, st.integers(1, 5), st.sampled_from([1, 4, 40]), st.integers(0, 999), st.integers(1, 90))
def test_it_computes_what_torch_computes(library, shape, batch, slots, seed, block_rows):
    encoder, (tokens, where) = Encoder(shape, seed), texts(batch, slots, seed)
    with torch.no_grad():
        embedded = encoder.embedding[torch.from_numpy(tokens).clamp(min=0)]
        expected = encoder.stack.eval()(embedded, torch.from_numpy(where)).numpy()
    for target in library.targets:
        native = NativeEncoder(library, encoder_shape_of(encoder), encoder_weights_of(encoder), target)
        found = native.encode(tokens, where, bias_of(encoder, slots), threads=2, block_rows=block_rows)
        np.testing.assert_allclose(found[where], expected[where], atol=2e-4, rtol=2e-4)
        assert (found[~where] == 0).all()


def test_what_does_not_fit_is_refused(library):
    shape = BlockShape(width=8, layers=1, heads=2, head_width=4, feed_forward=8)
    encoder, (tokens, where) = Encoder(shape, 0), texts(2, 3, 0)
    sizes, weights = encoder_shape_of(encoder), encoder_weights_of(encoder)
    native, bias = NativeEncoder(library, sizes, weights), bias_of(encoder, 3)
    far = np.full_like(tokens, ROWS)
    for arguments, error, text in (
        ((far, np.ones_like(where), bias), ValueError, "37 rows"),
        ((-1 - tokens.clip(0), np.ones_like(where), bias), ValueError, "37 rows"),
        ((tokens.astype(np.int32), where, bias), TypeError, "tokens must be"),
        ((tokens, where[:1], bias), ValueError, "where has shape"),
        ((tokens, where, bias[:, :2]), ValueError, "position_bias has shape"),
    ):
        with pytest.raises(error, match=text):
            native.encode(*arguments)
    with pytest.raises(ValueError, match="block_rows=0"):
        native.encode(tokens, where, bias, block_rows=0)
    for name in sizes.layer_shapes():
        broken = weights.layers[0] | {name: weights.layers[0][name][1:]}
        with pytest.raises(ValueError, match=f"{name} has shape"):
            NativeEncoder(library, sizes, weights._replace(layers=(broken,)))
    with pytest.raises(ValueError, match="final_norm has shape"):
        NativeEncoder(library, sizes, weights._replace(final_norm=weights.final_norm[1:]))
    with pytest.raises(ValueError, match="at least 1"):
        EncoderShape(width=0, heads=1, head_width=1, feed_forward=1, gated=False, epsilon=1e-6)
