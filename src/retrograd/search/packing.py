"""Models and tries in the form of the compiled core, kept until a weight changes.

Joins the modules of `models` and the arrays of `constraints` to `native`; decides nothing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from itertools import accumulate
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from torch import Tensor

from retrograd.constraints import AllowList, Constraint, CsrTrie, LiveTrie
from retrograd.errors import InputError
from retrograd.models.blocks import Attention, BlockShape, CrossAttention, FeedForward
from retrograd.models.encoder_decoder import EncoderDecoderModel
from retrograd.models.token_input import TokenEncoder
from retrograd.native import (
    DecoderShape,
    DecoderWeights,
    EncoderShape,
    EncoderWeights,
    Library,
    NativeDecoder,
    NativeEncoder,
    NativeTrie,
    find,
)

Native = TypeVar("Native")
_packed: WeakKeyDictionary[Any, dict[tuple[str, str], tuple[tuple[object, ...], Any]]] = WeakKeyDictionary()
"""Owner -> target and precision -> a version of its weights, and those packed."""

_tries: WeakKeyDictionary[Any, NativeTrie] = WeakKeyDictionary()
_lock = threading.Lock()


def target_of(library: Library) -> str:
    """The processor target that runs: the library's best, or what RETROGRAD_NATIVE_TARGET names.

    Raises:
        InputError: it names one that this processor cannot run.
    """
    asked = os.environ.get("RETROGRAD_NATIVE_TARGET", "")
    if asked and asked not in library.targets:
        names = ", ".join(library.targets)
        raise InputError(f"RETROGRAD_NATIVE_TARGET={asked!r}; this processor runs {names}")
    return asked or next(iter(library.targets))


def native_decoder(model: EncoderDecoderModel, precision: str = "fp32") -> NativeDecoder:
    """The decoder's weights, packed; packed again after one of them has changed."""
    parts = [part for layer in model.decoder.layers() for part in layer]
    tables = [model.begin, model.embedding, model.output, model.decoder.norm.weight]
    positions = model.decoder.positions
    tables.append(None if positions is None else positions.weight)

    def pack(library: Library, target: str) -> NativeDecoder:
        return NativeDecoder(library, shape_of(model), weights_of(model), target, precision=precision)

    return _kept(model, parts, tables, pack, precision)


def native_encoder(encoder: TokenEncoder) -> NativeEncoder:
    """The encoder's weights, packed; packed again after one of them has changed."""
    stack = encoder.stack
    parts = [*stack.attention, *stack.feed_forward]

    def pack(library: Library, target: str) -> NativeEncoder:
        return NativeEncoder(library, encoder_shape_of(encoder), encoder_weights_of(encoder), target)

    return _kept(encoder, parts, [encoder.embedding, stack.norm.weight], pack)


def _kept(
    owner: Any,
    parts: list[Any],
    tables: list[Any],
    pack: Callable[[Library, str], Native],
    precision: str = "fp32",
) -> Native:
    """What was packed for `owner`, as long as none of its weights has changed."""
    library = find()
    assert isinstance(library, Library), "asked for only where there is one"
    target = target_of(library)
    weights: list[Tensor] = [table for table in tables if table is not None]
    for part in parts:
        weights += [part.norm.weight, *part._parameters.values()]
    # a write through `.data` leaves no trace in a version; nothing here makes one
    version = tuple((weight.data_ptr(), _version(weight)) for weight in weights)
    with _lock:
        ways = _packed.setdefault(owner, {})
        kept = ways.get((target, precision))
        if kept is None or kept[0] != version:
            kept = ways[target, precision] = version, pack(library, target)
        found: Native = kept[1]
        return found


def _version(tensor: Tensor) -> object:
    return object() if tensor.is_inference() else tensor._version


def native_trie(constraint: Constraint) -> NativeTrie:
    """The constraint's arrays, checked; kept as long as the constraint lives."""
    with _lock:
        return _native_trie(constraint)


def _native_trie(constraint: Constraint) -> NativeTrie:
    """An allow-list shares the trie it stands on, and a live trie the large one: each is checked once."""
    kept = _tries.get(constraint)
    if kept is None:
        if isinstance(constraint, AllowList):
            kept = _native_trie(constraint.trie).filtered(constraint.live.numpy())
        elif isinstance(constraint, LiveTrie):
            kept = _native_live_trie(constraint)
        else:
            assert isinstance(constraint, CsrTrie), "asked for only where it is one"
            kept = _checked_trie(constraint)
        _tries[constraint] = kept
    return kept


def _native_live_trie(trie: LiveTrie) -> NativeTrie:
    large = _native_trie(trie.base)
    live = None if trie.live is None else trie.live.numpy()
    keys = None if trie.key_of_node is None else trie.key_of_node.numpy()
    if trie.graft is not None:
        return large.grafted(_checked_trie(trie.graft), trie.num_points, live, keys)
    return large.changed(live, keys)


def _checked_trie(trie: CsrTrie) -> NativeTrie:
    edges, tokens, keys = (array.numpy() for array in (trie.first_edge, trie.token, trie.key_of_node))
    return NativeTrie(edges, tokens, keys, trie.level_start)


def _sizes(shape: BlockShape) -> dict[str, Any]:
    return {
        "width": shape.width,
        "heads": shape.heads,
        "head_width": shape.head_width,
        "feed_forward": shape.feed_forward,
        "gated": shape.activation == "gated_gelu",
        "epsilon": shape.epsilon,
    }


def shape_of(model: EncoderDecoderModel) -> DecoderShape:
    """Sizes of the decoder."""
    sizes = model.level_sizes
    first_rows = (0,) * len(sizes) if model.shared_vocabulary else (0, *accumulate(sizes[:-1]))
    return DecoderShape(
        **_sizes(model.shape), output_scale=model.output_scale, level_sizes=sizes, level_rows=first_rows
    )


def weights_of(model: EncoderDecoderModel) -> DecoderWeights:
    """Weights of the decoder as arrays; they share memory with the model where they can."""
    output = model.embedding if model.output is None else model.output
    return DecoderWeights(
        begin=_array(model.begin),
        embedding=_array(model.embedding),
        output=_array(output),
        final_norm=_array(model.decoder.norm.weight),
        position_bias=_array(model.decoder.position_bias(model.depth)),
        layers=tuple(_own(own) | _cross(cross) | _feed(feed) for own, cross, feed in model.decoder.layers()),
    )


def encoder_shape_of(encoder: TokenEncoder) -> EncoderShape:
    """Sizes of an encoder."""
    return EncoderShape(**_sizes(encoder.stack.shape))


def encoder_weights_of(encoder: TokenEncoder) -> EncoderWeights:
    """Weights of an encoder as arrays."""
    layers = zip(encoder.stack.attention, encoder.stack.feed_forward, strict=True)
    return EncoderWeights(
        embedding=_array(encoder.embedding),
        final_norm=_array(encoder.stack.norm.weight),
        layers=tuple(_own(own) | _feed(feed) for own, feed in layers),  # type: ignore[arg-type]
    )


def _own(part: Attention) -> dict[str, np.ndarray]:
    return {"own_norm": _array(part.norm.weight), "qkv": _array(part.qkv), "own_out": _array(part.out)}


def _cross(part: CrossAttention) -> dict[str, np.ndarray]:
    names = {"query": part.query, "key_value": part.key_value, "cross_out": part.out}
    return {"cross_norm": _array(part.norm.weight)} | {name: _array(value) for name, value in names.items()}


def _feed(part: FeedForward) -> dict[str, np.ndarray]:
    return {"feed_norm": _array(part.norm.weight), "wide": _array(part.wide), "narrow": _array(part.out)}


def _array(tensor: Tensor) -> np.ndarray:
    found: np.ndarray = tensor.detach().contiguous().numpy()
    return found
