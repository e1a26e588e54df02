"""How much an id alone can tell: every document ranked by what its code vectors sum up to.

No decoder takes part: it is the upper bound of any search that sees nothing but the codes.
Shapes: n keys, m levels, d dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrograd.indexes.flat import FlatIndex
from retrograd.search.geometric import model_and_table
from retrograd.search.nearest import VectorModel
from retrograd.search.parts import Parts
from retrograd.search.resolve import Resolver
from retrograd.types import Query, Ranking


@dataclass(frozen=True, kw_only=True)
class CodeReconstruction:
    """Cosine of the query's vector and the sum of the code vectors of each id (the ids' capacity)."""

    def build(self, parts: Parts) -> ReconstructionSearcher:
        """Sum up the code vectors of every key.

        Raises:
            ValueError: the system has no docids or no model, the two do not fit, or a key is
                shorter than the codes.
        """
        model, table = model_and_table(parts)
        if (table.padded < 0).any():
            raise ValueError("a key has fewer tokens than the model has codebooks; it sums up to no vector")
        sums = np.asarray(model.reconstruct(table.padded), np.float32)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        return ReconstructionSearcher(model, Resolver(table), FlatIndex(sums / np.maximum(lengths, 1e-12)))


class ReconstructionSearcher:
    """Answers by exact search over one vector per key; documents of one key come in corpus order."""

    def __init__(self, model: VectorModel, resolver: Resolver, index: FlatIndex) -> None:
        self._model, self._resolver, self._index = model, resolver, index

    def search(self, queries: Sequence[Query], k: int) -> Ranking:
        """The `k` documents of each query whose ids come nearest; every hit says its path."""
        if not queries:
            return Ranking((), ())
        vectors = np.asarray(self._model.query_vectors([query.text for query in queries]), np.float32)
        table = self._resolver.table
        # a document may own several keys: its best one counts, so all have to be asked where some do
        wanted = k if len(table.pairs) == self._resolver.num_reachable else len(table)
        scores, keys = self._index.search(vectors, min(wanted, len(table)))
        hits = tuple(
            self._resolver.hits(found, values, table.padded[found].tolist(), [[]] * len(found), k)
            for found, values in zip(keys.tolist(), scores.tolist(), strict=True)
        )
        return Ranking(tuple(query.id for query in queries), hits)
