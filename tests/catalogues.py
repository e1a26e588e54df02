"""Random docid tables, and a sequence model without training, for constraints and search."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from retrograd.docid_table import DocidTable
from retrograd.models.blocks import BlockShape
from retrograd.models.encoder_decoder import EncoderDecoderModel
from retrograd.models.inputs import Memory

DEPTH, CODES, WIDTH = 3, 4, 8


def prefix_free(keys: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The keys that no other key of the list is a prefix of, in their order."""
    return [key for key in keys if not any(other != key and key == other[: len(key)] for other in keys)]


@st.composite
def tables(draw: Callable[..., object]) -> DocidTable:
    """Ragged or not, keys shared by documents, documents with several keys, shared vocabulary or not."""
    key = st.lists(st.integers(0, CODES - 1), min_size=1, max_size=DEPTH).map(tuple)
    keys = prefix_free(draw(st.lists(key, min_size=1, max_size=14)))  # type: ignore[arg-type]
    documents = [draw(st.integers(0, len(keys) - 1)) for _ in keys]
    return DocidTable.from_keys(
        keys,
        documents,  # type: ignore[arg-type]
        [f"d{row}" for row in range(len(keys))],
        level_sizes=(CODES,) * DEPTH,
        shared_vocabulary=draw(st.booleans()),  # type: ignore[arg-type]
    )


class GivenMemory(nn.Module):
    """An input encoder whose memory is its input."""

    width = WIDTH
    fingerprint = "given"

    def forward(self, batch: dict[str, Tensor]) -> Memory:
        return Memory(batch["states"], batch["where"])


def random_model(table: DocidTable, seed: int, *, tied: bool = False) -> EncoderDecoderModel:
    """Weights drawn from `seed`."""
    torch.manual_seed(seed)
    shape = BlockShape.of_width(WIDTH, layers=2, heads=2, feed_forward=2)
    return EncoderDecoderModel(
        GivenMemory(), shape, table.level_sizes, shared_vocabulary=table.shared_vocabulary, tied=tied
    ).eval()


def random_inputs(batch: int, seed: int, slots: int = 3) -> dict[str, Tensor]:
    """A memory of up to `slots` states for each query."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(1, slots + 1, batch)
    return {
        "states": torch.from_numpy(draw.standard_normal((batch, slots, WIDTH)).astype(np.float32)),
        "where": torch.from_numpy(np.arange(slots) < lengths[:, None]),
    }


def teacher_forced(
    model: EncoderDecoderModel, inputs: dict[str, Tensor], table: DocidTable, normalise: str
) -> np.ndarray:
    """(queries, keys) score of every key by the model's training face, one key at a time."""
    scores = np.zeros((len(inputs["where"]), len(table)))
    for query in range(len(scores)):
        one = {name: value[query : query + 1] for name, value in inputs.items()}
        for key in range(len(table)):
            scores[query, key] = _key_score(model, one, table, key, normalise)
    return scores


def _key_score(
    model: EncoderDecoderModel, one: dict[str, Tensor], table: DocidTable, key: int, normalise: str
) -> float:
    path = table.key(key)
    with torch.no_grad():
        logits = model.logits(one, torch.tensor([path]))[0]
    total = 0.0
    for level, token in enumerate(path):
        siblings = {
            other[level]
            for other in map(table.key, range(len(table)))
            if other[:level] == path[:level] and len(other) > level
        }
        mass = {
            "level": logits[level].logsumexp(0),
            "children": logits[level][sorted(siblings)].logsumexp(0),
            "none": torch.tensor(0.0),
        }[normalise]
        total += float(logits[level][token] - mass)
    return total
