"""T5 folders of the Hugging Face layout, read into our own blocks and written back.

Only names are mapped: the library that wrote the folder is not needed, and nothing but
`config.json`, safetensors and `tokenizer.json` is opened. Covers T5 (ReLU, tied output) and T5 1.1
(gated GELU, own output table). Shapes: B rows, S tokens, d width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from retrograd.artifacts import array_to_text, from_json, text_to_array, write_bytes_atomic, write_json
from retrograd.errors import ArtifactError
from retrograd.models.blocks import BlockShape
from retrograd.models.encoder_decoder import EncoderDecoderModel
from retrograd.models.token_input import TokenEncoder, TokenReader
from retrograd.types import State

ACTIVATION_OF = {"relu": "relu", "gated-gelu": "gated_gelu"}
"""Their name of the feed-forward layer -> ours."""

PADDING = 0
"""Token every T5 pads with and starts decoding from."""


@dataclass(frozen=True, kw_only=True)
class T5Input:
    """A pretrained T5 encoder that goes on training."""

    folder: str = ""
    """A local folder with `config.json`, `model.safetensors` and `tokenizer.json`. Read when a
    system is fitted; a saved system holds its own copy of all it needs."""

    max_tokens: int = 64
    """Later tokens of a text are cut off; the end token always stays."""

    def __post_init__(self) -> None:
        if self.max_tokens < 2:
            raise ValueError(f"max_tokens={self.max_tokens} must be at least 2")

    def fit(self, texts: Sequence[str]) -> State:
        """The folder's configuration and tokenizer; nothing is learnt from the texts."""
        folder = Path(self.folder)
        state = {"config": _read(folder / "config.json"), "tokenizer": _read(folder / "tokenizer.json")}
        return {name: text_to_array(text) for name, text in state.items()}

    def build(self, state: State, seed: int = 0) -> TokenEncoder:
        """The encoder with the folder's weights.

        Where the folder has gone its weights are drawn from `seed`, for a saved system to load over.

        Raises:
            ArtifactError: the folder is there but is not the one the state came from.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            config = _config(array_to_text(state["config"]))
            encoder = _encoder(config, array_to_text(state["tokenizer"]), self.max_tokens)
        if (Path(self.folder) / "config.json").is_file():
            _load_encoder(encoder, _weights(Path(self.folder)))
        return encoder


def load_t5(folder: str | Path, depth: int, max_tokens: int = 64) -> EncoderDecoderModel:
    """A whole T5 as a sequence model whose docid tokens are the T5's own tokens.

    Args:
        depth: tokens of the longest docid.

    Raises:
        ArtifactError: a file is missing, damaged or not a T5 this module knows.
    """
    folder = Path(folder)
    config, weights = _config(_read(folder / "config.json")), _weights(folder)
    encoder = _encoder(config, _read(folder / "tokenizer.json"), max_tokens)
    _load_encoder(encoder, weights)
    shared = weights["shared.weight"]
    output = weights.get("lm_head.weight", shared)
    scaled = config.get("scale_decoder_outputs", config.get("tie_word_embeddings", True))
    tied = bool(scaled) and torch.equal(output, shared)
    shape = _shape(config, config.get("num_decoder_layers") or config["num_layers"])
    model = EncoderDecoderModel(encoder, shape, (len(shared),) * depth, shared_vocabulary=True, tied=tied)
    _load(model.decoder, weights, _stack_names(shape, "decoder"))
    with torch.no_grad():
        model.embedding.copy_(shared)
        model.begin.copy_(shared[config.get("decoder_start_token_id", PADDING)])
        if model.output is not None:
            model.output.copy_(output * (shape.width**-0.5 if scaled else 1.0))
    return model


def export_t5(model: EncoderDecoderModel, folder: str | Path) -> None:
    """Write a model as a folder that other libraries load as a T5 with the same logits.

    As in every T5 the row of the padding token holds what the decoder starts from, so no docid
    may use that token.

    Raises:
        ValueError: what a T5 cannot hold: another encoder, codebooks per level, or encoder and
            decoder tables that training has moved apart.
    """
    encoder = model.encoder
    if not isinstance(encoder, TokenEncoder) or not model.shared_vocabulary:
        raise ValueError(
            "only a token encoder with a shared docid vocabulary is a T5; train one from `load_t5`"
        )
    if not torch.equal(encoder.embedding, model.embedding):
        raise ValueError("a T5 has one token table but this model's encoder and decoder tables differ")
    shape, enclosing = model.shape, encoder.stack.shape
    if not (shape.relative_positions and enclosing.relative_positions):
        raise ValueError("a T5 has relative positions; this model was built without them")
    table = model.embedding.detach().clone()
    table[PADDING] = model.begin.detach()
    weights = {"shared.weight": table}
    weights |= _dump(encoder.stack, _stack_names(enclosing, "encoder")) | _dump(
        model.decoder, _stack_names(shape, "decoder")
    )
    if model.output is not None:
        weights["lm_head.weight"] = model.output.detach()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.contiguous() for name, value in weights.items()}
    write_bytes_atomic(folder / "model.safetensors", save(tensors, {"format": "pt"}))
    write_bytes_atomic(folder / "tokenizer.json", encoder.reader.text.encode())
    write_json(folder / "config.json", _config_of(model, enclosing.layers, encoder.reader.last))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path}: cannot be read ({error}); a local T5 folder is needed") from None


def _weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of one or several safetensors files, as float32."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ArtifactError(
            f"{folder}: no *.safetensors; convert the weights first, pickled ones are never opened"
        )
    found: dict[str, Tensor] = {}
    for file in files:
        try:
            found |= load_file(file)
        except (SafetensorError, OSError) as error:
            raise ArtifactError(f"{file}: not a sound safetensors file ({error})") from None
    return {name: value.float() for name, value in found.items()}


def _config(text: str) -> dict[str, Any]:
    try:
        config = from_json(text)
    except ValueError as error:
        raise ArtifactError(f"config.json is not valid JSON ({error})") from None
    if not isinstance(config, dict) or config.get("model_type") not in ("t5", "mt5"):
        raise ArtifactError("config.json does not describe a T5 (model_type t5 or mt5)")
    kind = config.get("feed_forward_proj", "relu")
    if kind not in ACTIVATION_OF:
        raise ArtifactError(f"feed_forward_proj={kind!r} is not one of {', '.join(ACTIVATION_OF)}")
    return config


def _shape(config: dict[str, Any], layers: int) -> BlockShape:
    return BlockShape(
        width=config["d_model"],
        layers=layers,
        heads=config["num_heads"],
        head_width=config["d_kv"],
        feed_forward=config["d_ff"],
        activation=ACTIVATION_OF[config.get("feed_forward_proj", "relu")],
        dropout=config.get("dropout_rate", 0.1),
        buckets=config.get("relative_attention_num_buckets", 32),
        max_distance=config.get("relative_attention_max_distance", 128),
        epsilon=config.get("layer_norm_epsilon", 1e-6),
    )


def _config_of(model: EncoderDecoderModel, encoder_layers: int, end: int) -> dict[str, Any]:
    """`config.json` of a model, the reverse of `_shape`."""
    shape = model.shape
    return {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        "is_encoder_decoder": True,
        "vocab_size": len(model.embedding),
        "d_model": shape.width,
        "d_kv": shape.head_width,
        "d_ff": shape.feed_forward,
        "num_layers": encoder_layers,
        "num_decoder_layers": shape.layers,
        "num_heads": shape.heads,
        "dropout_rate": shape.dropout,
        "layer_norm_epsilon": shape.epsilon,
        "relative_attention_num_buckets": shape.buckets,
        "relative_attention_max_distance": shape.max_distance,
        "feed_forward_proj": {ours: theirs for theirs, ours in ACTIVATION_OF.items()}[shape.activation],
        "tie_word_embeddings": model.tied,
        "pad_token_id": PADDING,
        "decoder_start_token_id": PADDING,
        "eos_token_id": end,
    }


def _encoder(config: dict[str, Any], tokenizer: str, max_tokens: int) -> TokenEncoder:
    reader = TokenReader(tokenizer, config.get("eos_token_id", 1), max_tokens)
    return TokenEncoder(reader, _shape(config, config["num_layers"]), config["vocab_size"])


def _load_encoder(encoder: TokenEncoder, weights: dict[str, Tensor]) -> None:
    _load(encoder.stack, weights, _stack_names(encoder.stack.shape, "encoder"))
    shared = weights.get("shared.weight", weights.get("encoder.embed_tokens.weight"))
    if shared is None or shared.shape != encoder.embedding.shape:
        raise ArtifactError("the weights have no token table of the size that config.json gives")
    with torch.no_grad():
        encoder.embedding.copy_(shared)


def _attention_names(ours: str, theirs: str, number: int) -> dict[str, tuple[str, ...]]:
    part = f"{theirs}.layer.{number}"
    name = "EncDecAttention" if number else "SelfAttention"
    names = {
        f"{ours}.norm.weight": (f"{part}.layer_norm.weight",),
        f"{ours}.out": (f"{part}.{name}.o.weight",),
    }
    key_value = tuple(f"{part}.{name}.{letter}.weight" for letter in "kv")
    query = (f"{part}.{name}.q.weight",)
    if number:
        return names | {f"{ours}.query": query, f"{ours}.key_value": key_value}
    return names | {f"{ours}.qkv": query + key_value}


def _feed_forward_names(ours: str, theirs: str, number: int, gated: bool) -> dict[str, tuple[str, ...]]:
    part = f"{theirs}.layer.{number}"
    wide = ("wi_0", "wi_1") if gated else ("wi",)
    return {
        f"{ours}.norm.weight": (f"{part}.layer_norm.weight",),
        f"{ours}.wide": tuple(f"{part}.DenseReluDense.{name}.weight" for name in wide),
        f"{ours}.out": (f"{part}.DenseReluDense.wo.weight",),
    }


def _stack_names(shape: BlockShape, side: str) -> dict[str, tuple[str, ...]]:
    """Our parameter -> theirs, which are transposed and stand side by side in ours; `side` is `encoder`
    or `decoder`."""
    gated, crosses = shape.activation == "gated_gelu", side == "decoder"
    names: dict[str, tuple[str, ...]] = {
        "norm.weight": (f"{side}.final_layer_norm.weight",),
        "positions.weight": (f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight",),
    }
    for layer in range(shape.layers):
        theirs = f"{side}.block.{layer}"
        names |= _attention_names(f"attention.{layer}", theirs, 0)
        if crosses:
            names |= _attention_names(f"cross.{layer}", theirs, 1)
        names |= _feed_forward_names(f"feed_forward.{layer}", theirs, 1 + crosses, gated)
    return names


def _load(stack: nn.Module, weights: dict[str, Tensor], names: dict[str, tuple[str, ...]]) -> None:
    missing = sorted({name for theirs in names.values() for name in theirs} - weights.keys())
    if missing:
        raise ArtifactError(f"the weights lack {missing[0]!r} and {len(missing) - 1} more of a T5's tensors")
    joined = {
        ours: _ours(torch.cat([weights[name] for name in theirs]), ours) for ours, theirs in names.items()
    }
    try:
        stack.load_state_dict(joined)
    except RuntimeError as error:
        raise ArtifactError(f"the weights do not fit config.json: {error}") from None


def _dump(stack: nn.Module, names: dict[str, tuple[str, ...]]) -> dict[str, Tensor]:
    own = stack.state_dict()
    found: dict[str, Tensor] = {}
    for ours, theirs in names.items():
        rows = _ours(own[ours], ours)
        # a fused matrix holds parts of one size, so it falls apart into as many equal blocks
        found |= dict(zip(theirs, rows.chunk(len(theirs)), strict=True))
    return found


def _ours(value: Tensor, name: str) -> Tensor:
    """Between their layout (out, in) and ours (in, out); norms and the position bias stay as they are."""
    return value if name.endswith(".weight") else value.t()
