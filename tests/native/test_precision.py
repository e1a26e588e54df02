"""Weights in fewer bits: a decoder of rounded weights is the float decoder of what they were rounded to."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from retrograd.native import PRECISIONS, NativeDecoder
from retrograd.search.beam import NORMALISE
from retrograd.search.packing import native_trie, shape_of, weights_of
from tests.native.test_decoder import catalogue, plain_case

NARROW = [precision for precision in PRECISIONS if precision != "fp32"]


def rounded(values, precision, axis):
    """Values as the precision keeps them; bytes have one step for each line along `axis`."""
    if precision == "bf16":
        return torch.from_numpy(np.ascontiguousarray(values)).bfloat16().float().numpy()
    step = np.abs(values).max(axis, keepdims=True) / np.float32(127)
    return (np.rint(values / step) * step).astype(np.float32)


def rounded_weights(weights, precision, output_scale):
    """The weights with every norm multiplied into what stands behind it, rounded."""
    layers = []
    for layer in weights.layers:
        norm_of = {"qkv": "own_norm", "query": "cross_norm", "wide": "feed_norm"}
        folded = {name: value * layer[norm_of[name]][:, None] if name in norm_of else value
                  for name, value in layer.items()}  # fmt: skip
        layers.append(
            {
                name: np.ones_like(value) if name.endswith("norm") else rounded(value, precision, 0)
                for name, value in folded.items()
            }
        )
    output = weights.output * (weights.final_norm * np.float32(output_scale))
    return weights._replace(
        embedding=rounded(weights.embedding, precision, 1),
        output=rounded(output, precision, 1),
        final_norm=np.ones_like(weights.final_norm),
        layers=tuple(layers),
    )


@pytest.mark.parametrize("precision", NARROW)
@pytest.mark.parametrize("normalise", NORMALISE)
@pytest.mark.parametrize("beam, slots", [(4, 9), (60, 2)], ids=["few beams", "folded memory"])
def test_it_is_the_float_decoder_of_the_rounded_weights_on_every_target(
    library, precision, normalise, beam, slots
):
    table = catalogue(900, 150, 3, seed=2, shared=beam > 9)
    sizes = {"width": 33, "heads": 3, "head_width": 5, "feed_forward": 70, "tied": beam > 9}
    case = plain_case(table, beam=beam, normalise=normalise, seed=7, batch=3, slots=slots, **sizes)
    shape, weights = shape_of(case.model), weights_of(case.model)
    exact = rounded_weights(weights, precision, shape.output_scale)
    for target in library.targets:
        arguments = (
            case.inputs["states"].numpy(),
            case.inputs["where"].numpy(),
            native_trie(case.constraint),
        )
        options = {"width": beam, "normalise": normalise}
        found = NativeDecoder(library, shape, weights, target, precision=precision).search(
            *arguments, **options
        )
        reference = NativeDecoder(library, replace(shape, output_scale=1.0), exact, target)
        expected = reference.search(*arguments, **options)
        np.testing.assert_array_equal(found.keys, expected.keys)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4, rtol=1e-4)
        np.testing.assert_allclose(found.steps, expected.steps, atol=1e-4, rtol=1e-4)


def test_a_table_of_zeros_has_no_step_and_stays_zero(library):
    case = plain_case(catalogue(20, 4, 3, 0))
    with torch.no_grad():
        case.model.output.zero_()
        case.model.decoder.feed_forward[0].wide.zero_()
    found = NativeDecoder(library, shape_of(case.model), weights_of(case.model), precision="int8").search(
        case.inputs["states"].numpy(), case.inputs["where"].numpy(), native_trie(case.constraint), width=5
    )
    np.testing.assert_allclose(found.steps, -np.log(4), atol=1e-5)


def test_fewer_bits_take_less_memory(library):
    case = plain_case(catalogue(900, 150, 3, seed=2), width=96, feed_forward=300)
    target = next(name for name in library.targets if name != "amx")  # whose tiles hold floats
    sizes = [
        NativeDecoder(library, shape_of(case.model), weights_of(case.model), target, precision=name).num_bytes
        for name in PRECISIONS
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[2] < 0.5 * sizes[0]


def test_an_unknown_precision_is_refused(library):
    case = plain_case(catalogue(20, 4, 3, 0))
    with pytest.raises(ValueError, match="fp32, bf16, int8"):
        NativeDecoder(library, shape_of(case.model), weights_of(case.model), precision="fp4")
