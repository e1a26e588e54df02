"""Vectors of items from what users took next: a causal transformer over items, fitted beside a system.

They serve docids, which are made before the system's own network. What was made once on this machine is kept
with the vectors of texts.
Shapes: n items, d dimensions.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from retrograd import __version__
from retrograd.data.examples import ExampleContext
from retrograd.data.sequences import EveryPrefix
from retrograd.docids.behaviour import NextItemVectors
from retrograd.models.embedding_cache import EmbeddingCache, cache_folder
from retrograd.models.sequential import COUNT, ItemTransformer
from retrograd.recipe import Stage, to_json
from retrograd.training.batches import PreparedSource
from retrograd.training.loop import train_stage
from retrograd.training.objectives import NextItemLikelihood
from retrograd.types import Corpus, History

_BATCH = 16
"""Rows of histories in a step."""


def next_item_vectors(
    config: NextItemVectors, histories: Sequence[History], corpus: Corpus, seed: int
) -> np.ndarray:
    """(n, d) float32: what a transformer of one vector per item learnt from the histories (Kang and McAuley
    2018, arXiv:1808.09781, with a softmax over all items); 0 for an item that stands in none.

    The same histories and seed give the same vectors on one machine.
    """
    if os.environ.get("RETROGRAD_CACHE") == "off":
        return _learnt(config, histories, corpus, seed)
    cache = EmbeddingCache(cache_folder() / "embeddings.sqlite")
    keys = _keys(config, histories, corpus, seed)
    found = cache.get(keys, config.width)
    if len(found) < len(keys):
        vectors = _learnt(config, histories, corpus, seed)
        cache.put(dict(zip(keys, vectors, strict=True)))
        return vectors
    return np.stack([found[key] for key in keys])


def _keys(config: NextItemVectors, histories: Sequence[History], corpus: Corpus, seed: int) -> list[bytes]:
    """A name for the vector of each item, of all that decides it."""
    run = hashlib.sha256()
    versions = (__version__, torch.__version__, torch.get_num_threads())
    run.update(json.dumps(["next item vectors", to_json(config), seed, *versions, list(corpus.ids)]).encode())
    for history in histories:
        run.update(json.dumps(list(history.items)).encode())
    return [hashlib.sha256(run.digest() + item.encode()).digest() for item in corpus.ids]


def _learnt(config: NextItemVectors, histories: Sequence[History], corpus: Corpus, seed: int) -> np.ndarray:
    context = ExampleContext(corpus, seed=seed, histories=histories)
    row = max(64, config.length)
    examples = EveryPrefix(length=config.length, row=row)(context)
    vectors = np.zeros((len(corpus), config.width), np.float32)
    if not len(examples):
        return vectors
    model: Any = ItemTransformer(width=config.width, length=config.length, dropout=config.dropout).build(
        {COUNT: np.array(len(corpus))}, seed=seed
    )
    stage = Stage(
        name="item vectors",
        objective=NextItemLikelihood(),
        examples=(),
        batch_size=_BATCH,
        learning_rate=config.learning_rate,
    )
    source = PreparedSource(prepared=model.prepare_sequences(examples.rows), documents=examples.targets)
    with TemporaryDirectory(prefix="retrograd-") as folder:
        train_stage(
            model,
            stage,
            [source],
            seed=seed,
            stage_index=0,
            folder=Path(folder),
            steps=-(-config.epochs * len(examples) // _BATCH),
            num_documents=len(corpus),
        )
    taken = sorted({corpus.row_of[item] for history in histories for item in history.items})
    vectors[taken] = model.all_item_vectors()[taken]
    return vectors
