"""Texts to unit vectors by a pretrained sentence encoder (all-MiniLM-L6-v2).

Knows texts, tokens and vectors; never documents, queries' answers or training. The encoder that
needs no pretrained weights is `TfidfSvd`, which stands beside this file and is exported here too.
Shapes: n texts, B texts of a batch, L tokens of the longest of them, d dimensions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrograd.errors import ArtifactError
from retrograd.models.inputs import Role
from retrograd.models.plain_text import encodable
from retrograd.models.pretrained import WEIGHTS_SHA256, ModelFiles, find_files
from retrograd.models.ragged import Ragged, batches_by_length
from retrograd.models.tfidf_svd import TfidfSvd
from retrograd.progress import track
from retrograd.types import State, TextEncoder

__all__ = ["MiniLM", "SentenceEncoder", "TfidfSvd", "encode_as", "mean_pool", "token_budget", "token_states"]

PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True, kw_only=True)
class MiniLM:
    """all-MiniLM-L6-v2: mean-pooled token states of a six-layer BERT, L2-normalised, 384 dimensions.

    Reimers and Gurevych, "Sentence-BERT", EMNLP 2019, section 3; Wang et al., "MiniLM", NeurIPS 2020.
    """

    source: str = "auto"
    """A folder with model.safetensors, tokenizer.json and config.json, or "auto" (see `find_files`)."""

    max_tokens: int = 256
    """Longer texts are cut. The model was trained on up to 256."""

    precision: str = "fp32"
    """`bf16` is 2.5 to 3 times faster on processors with matrix units and moves entries by up to 3e-3."""

    weights_sha256: str = WEIGHTS_SHA256
    """What the weights must hash to. Name another to use another BERT with mean pooling."""

    def __post_init__(self) -> None:
        if not 2 <= self.max_tokens <= 512:
            raise ValueError(f"max_tokens={self.max_tokens} must be in [2, 512]")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision={self.precision!r}; choose one of {', '.join(PRECISIONS)}")

    def fit(self, texts: Sequence[str]) -> State:
        """Nothing is learnt from the collection."""
        del texts
        return {}

    def build(self, state: State) -> SentenceEncoder:
        """The encoder; weights are read when the first text is encoded.

        Raises:
            ArtifactError: weights not found, or not the wanted ones.
        """
        del state
        files = find_files(self.source, self.weights_sha256)
        return _shared_encoder(files, self.max_tokens, self.precision)


class SentenceEncoder:
    """A frozen BERT with mean pooling. Implements `types.TextEncoder`.

    The vectors of a text differ by rounding (1e-7) with the texts it shares a batch with.
    """

    symmetric = True
    """Queries and documents are encoded alike, so a cache may hold them once."""

    def __init__(self, files: ModelFiles, max_tokens: int, precision: str) -> None:
        self.files, self.max_tokens, self.precision = files, max_tokens, precision

    def __deepcopy__(self, memo: dict[int, Any]) -> SentenceEncoder:
        """Itself: a copied module shares the frozen weights."""
        return self

    @property
    def dimensions(self) -> int:
        """Length d of a vector."""
        return int(self.files.config["hidden_size"])

    @property
    def fingerprint(self) -> str:
        """sha256 over weights, tokenizer, length limit, pooling and precision."""
        parts = (
            self.files.weights_sha256,
            self.files.tokenizer_sha256,
            str(self.max_tokens),
            "mean",
            self.precision,
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def encode_query(self, texts: Sequence[str]) -> np.ndarray:
        """(n, d) float32, unit rows."""
        return self._encode(texts)

    def encode_document(self, texts: Sequence[str]) -> np.ndarray:
        """(n, d) float32, unit rows."""
        return self._encode(texts)

    def tokenize(self, texts: Sequence[str]) -> Ragged:
        """Token ids (int32) with the special tokens at both ends, at most `max_tokens` per text."""
        encodings = self._tokenizer.encode_batch_fast(encodable(texts))
        return Ragged.of([np.array(encoding.ids, np.int32) for encoding in encodings], np.zeros(0, np.int32))

    def token_states(self, texts: Sequence[str]) -> Ragged:
        """Last-layer state of every token: rows (tokens, d) float16, half the size and within 1e-3."""
        nothing = np.zeros((0, self.dimensions), np.float16)
        found = [nothing] * len(texts)
        for rows, states, where in self._run(texts):
            for row, state, kept in zip(rows.tolist(), states.half().cpu(), where.cpu(), strict=True):
                found[row] = state[kept].numpy()
        return Ragged.of(found, nothing)

    def trainable_copy(self, dropout: float) -> nn.Module:
        """The network in fp32 with gradients, for fine-tuning; the encoder's own stays as it is."""
        config = self.files.config | {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
        return _load_network(self.files, config)

    def _encode(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        for rows, states, where in self._run(texts):
            vectors[rows] = mean_pool(states.float(), where).cpu().numpy()
        return vectors

    def _run(self, texts: Sequence[str]) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
        """Rows (B,), last-layer states (B, L, d) and where (B, L) of each batch."""
        tokens, device = self.tokenize(texts), next(self._network.parameters()).device
        batches = batches_by_length(tokens.lengths, token_budget(device))
        for rows in track(batches, "encoding texts") if len(texts) > QUIET else batches:
            ids, where = (tensor.to(device) for tensor in tokens.padded(rows))
            with torch.inference_mode():
                states = token_states(self._network, ids, where)
            yield rows, states, where

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.files.tokenizer))
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.max_tokens)
        return tokenizer

    @cached_property
    def _network(self) -> nn.Module:
        network = _load_network(self.files, self.files.config).eval().requires_grad_(False)
        network = network.to(torch.bfloat16) if self.precision == "bf16" else network
        return network.to("cuda" if torch.cuda.is_available() else "cpu")


def token_budget(device: torch.device) -> int:
    """Tokens a batch may hold. 1k to 2k are fastest on a processor (measured: 8k costs 20 %, the
    activations leave its cache); a GPU wants far more."""
    return 2048 if device.type == "cpu" else 65_536


QUIET = 1024
"""Up to so many texts no progress is shown: whoever calls in chunks shows its own."""


def encode_as(encoder: TextEncoder, texts: Sequence[str], role: Role) -> np.ndarray:
    """(n, d) float32 unit rows, as queries or as documents."""
    return encoder.encode_query(texts) if role == "query" else encoder.encode_document(texts)


def token_states(network: nn.Module, tokens: Tensor, where: Tensor) -> Tensor:
    """Last-layer states (B, L, d) of token ids (B, L); `where` (B, L) bool is False for padding."""
    states: Tensor = network(input_ids=tokens.long(), attention_mask=where.long()).last_hidden_state
    return states


def mean_pool(states: Tensor, where: Tensor) -> Tensor:
    """Unit vectors (B, d): the mean of the states (B, L, d) inside `where` (B, L), L2-normalised."""
    kept = where.unsqueeze(-1).to(states.dtype)
    return F.normalize((states * kept).sum(1) / kept.sum(1).clamp(min=1), dim=-1)


@lru_cache(maxsize=4)
def _shared_encoder(files: ModelFiles, max_tokens: int, precision: str) -> SentenceEncoder:
    """One frozen network per process serves docids, model and search."""
    return SentenceEncoder(files, max_tokens, precision)


def _load_network(files: ModelFiles, config: dict[str, Any]) -> nn.Module:
    # From the submodules: the package's top level would import several times as much.
    from safetensors.torch import load_file
    from transformers.models.bert.configuration_bert import BertConfig
    from transformers.models.bert.modeling_bert import BertModel

    with torch.random.fork_rng(devices=[]):  # the weights it draws are overwritten; the caller's seed is not
        network: nn.Module = BertModel(BertConfig(**config), add_pooling_layer=False)
    weights = {
        name: value for name, value in load_file(files.weights).items() if name in network.state_dict()
    }
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ArtifactError(f"{files.weights}: does not fit config.json beside it ({error})") from None
    return network
