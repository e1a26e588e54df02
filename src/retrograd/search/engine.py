"""Which loop runs a beam: the compiled core where it can, torch everywhere else.

Both give the same keys in the same order. Knows no documents.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

import torch
from torch import Tensor

from retrograd.constraints import AllowList, Constraint, CsrTrie, LiveTrie
from retrograd.errors import InputError
from retrograd.models.encoder_decoder import EncoderDecoderModel
from retrograd.models.inputs import Memory
from retrograd.models.token_input import TokenEncoder
from retrograd.native import Library, find
from retrograd.search.beam import BeamResult, beam_search
from retrograd.search.packing import native_decoder, native_encoder, native_trie, target_of

ENGINES = ("auto", "torch", "native")


def check_engine(engine: str) -> None:
    """ValueError unless it is one of `ENGINES`."""
    if engine not in ENGINES:
        raise ValueError(f"engine={engine!r}; choose one of {', '.join(ENGINES)}")


def engine_of(engine: str, model: Any, constraint: Constraint, precision: str = "fp32") -> str:
    """The loop that will run: `torch`, or `native` with the processor target in brackets, and the
    precision of the weights where it is another than `fp32`.

    Raises:
        InputError: `native` is asked for where it cannot run; says why.
    """
    if engine == "torch":
        return _torch(precision)
    library = find()
    reason = library if isinstance(library, str) else _unfit(model, constraint)
    if reason is None and isinstance(library, Library):
        return f"native ({target_of(library)}{'' if precision == 'fp32' else f', {precision}'})"
    if engine == "native":
        raise InputError(f"engine='native' cannot run: {reason}; choose 'auto' or 'torch'")
    if isinstance(library, str):
        _announce(f"beam search runs in torch: {library}")
    return _torch(precision)


def _torch(precision: str) -> str:
    if precision != "fp32":
        _announce(f"precision={precision!r} is ignored: only the compiled beam keeps weights in fewer bits")
    return "torch"


@functools.cache
def _announce(text: str) -> None:
    logging.getLogger(__name__).warning(text)


def _unfit(model: Any, constraint: Constraint) -> str | None:
    """Why the compiled core cannot serve them, if so."""
    if not isinstance(model, EncoderDecoderModel):
        return f"it decodes EncoderDecoderModel only, not {type(model).__name__}"
    if not isinstance(constraint, CsrTrie | LiveTrie | AllowList):
        return f"it walks CsrTrie, LiveTrie and AllowList only, not {type(constraint).__name__}"
    weight, trie = model.embedding, constraint.trie if isinstance(constraint, AllowList) else constraint
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        return f"it computes in float32 on processors; the model is {weight.dtype} on {weight.device}"
    if trie.token.device.type != "cpu":
        return f"it walks tries on processors; this one is on {trie.token.device}"
    return None


def search_keys(
    model: Any,
    inputs: dict[str, Tensor],
    constraint: Constraint,
    *,
    width: int,
    normalise: str = "level",
    prior: Tensor | None = None,
    engine: str = "auto",
    precision: str = "fp32",
) -> BeamResult:
    """`beam.beam_search` by the engine that `engine_of` names.

    Args:
        precision: of the compiled loop's weights.

    Raises:
        InputError: `native` is asked for where it cannot run.
    """
    if engine_of(engine, model, constraint, precision) == "torch":
        return beam_search(model, inputs, constraint, width=width, normalise=normalise, prior=prior)
    with torch.inference_mode():
        memory = _encode(model, inputs)
        found = native_decoder(model, precision).search(
            memory.states.float().numpy(),
            memory.where.numpy(),
            native_trie(constraint),
            width=width,
            normalise=normalise,
            prior=None if prior is None else prior.float().numpy(),
            threads=torch.get_num_threads(),
        )
        keys, *rest = map(torch.from_numpy, found)
        trie = constraint.trie if isinstance(constraint, AllowList) else constraint
        return BeamResult(trie.number_of(keys) if isinstance(trie, LiveTrie) else keys, *rest)


def _encode(model: EncoderDecoderModel, inputs: dict[str, Tensor]) -> Memory:
    """The compiled core has encoders of tokens; all others run in torch."""
    encoder = model.encoder
    if not isinstance(encoder, TokenEncoder) or encoder.embedding.dtype != torch.float32:
        return model.encode(inputs)
    tokens, where, stack = inputs["tokens"], inputs["where"], encoder.stack
    slots = tokens.shape[1]
    bias = torch.zeros(stack.shape.heads, slots, slots)
    if stack.positions is not None:
        bias = stack.positions(slots)
    arrays = (value.contiguous().numpy() for value in (tokens, where, bias))
    states = native_encoder(encoder).encode(*arrays, threads=torch.get_num_threads())
    return Memory(torch.from_numpy(states), where)
