"""What a network of one-token docids makes of the fitted documents' own pseudo-queries.

A row that is solved for a later document (`updates.solve_row`) must leave them to the documents they
were made from. They are kept among the derived arrays of a system, so that adding a document does not
wait for them. Knows nothing of changes.
Shapes: n texts, s documents looked at, d width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from retrograd.data.examples import PseudoQueries
from retrograd.docids.atomic import Atomic
from retrograd.models.inference import device_of, without_dropout
from retrograd.recipe import Recipe
from retrograd.search.parts import Parts
from retrograd.types import Corpus, State

STATES, DOCUMENTS = "own_queries.states", "own_queries.documents"
"""Keys among `Parts.arrays`: (s, d) float32, and (s,) int64 document rows."""

MOST = 2048
"""Documents looked at, evenly spaced over the corpus."""

_TOGETHER = 256


def has_rows(recipe: Recipe, parts: Parts) -> bool:
    """Whether each document has one output row of its own, which a state is multiplied with."""
    return isinstance(recipe.docids, Atomic) and hasattr(parts.model, "first_states")


def own_queries(recipe: Recipe, parts: Parts) -> State:
    """`STATES` and `DOCUMENTS` of fitted parts: those kept in `parts.arrays`, or made and left there.

    {} where documents have no output rows.
    """
    if not has_rows(recipe, parts):
        return {}
    if STATES not in parts.arrays:
        rows = evenly(len(parts.corpus), MOST)
        source = pseudo_query_source(recipe)
        some = Corpus(parts.corpus[row] for row in rows.tolist())
        groups = source.generator.generate(some, source.per_document, source.seed, parts.corpus)
        pairs = [
            (row, group[row % len(group)]) for row, group in zip(rows.tolist(), groups, strict=True) if group
        ]
        parts.arrays[STATES] = first_states(parts.model, [text for _, text in pairs]).astype(np.float32)
        parts.arrays[DOCUMENTS] = np.asarray([row for row, _ in pairs], np.int64)
    return {name: parts.arrays[name] for name in (STATES, DOCUMENTS)}


def first_states(model: Any, texts: Sequence[str]) -> np.ndarray:
    """(n, d) float64: what the rows of a first level are multiplied with, for these queries."""
    encoder, device = model.encoder, device_of(model)
    prepared = encoder.prepare(texts, "query")
    parts = [np.zeros((0, model.output_rows(0).shape[1]))]
    with torch.inference_mode(), without_dropout(model):
        for first in range(0, len(texts), _TOGETHER):
            rows = np.arange(first, min(first + _TOGETHER, len(texts)))
            inputs = {name: value.to(device) for name, value in encoder.collate(prepared, rows).items()}
            parts.append(model.first_states(inputs).double().cpu().numpy())
    return np.concatenate(parts)


def evenly(count: int, most: int) -> np.ndarray:
    """At most so many of `count` rows, evenly spaced, ascending, int64.

    >>> evenly(5, 3).tolist(), evenly(2, 3).tolist()
    ([0, 1, 3], [0, 1])
    """
    return np.arange(min(count, most), dtype=np.int64) * count // max(min(count, most), 1)


def pseudo_query_source(recipe: Recipe) -> PseudoQueries:
    """The pseudo-queries a recipe trains on, or the default ones where it trains on none."""
    sources = [mix.source for stage in recipe.stages for mix in stage.examples]
    return next((source for source in sources if isinstance(source, PseudoQueries)), PseudoQueries())
