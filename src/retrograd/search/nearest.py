"""Nearest neighbours of the query's vector: the searcher of every system without identifiers.

Knows a model only by its two methods that make vectors, and an index only by its protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from retrograd.errors import ArtifactError
from retrograd.indexes import VectorIndex, VectorIndexConfig
from retrograd.indexes.drifted import DriftedIndex
from retrograd.indexes.flat import Flat
from retrograd.search.parts import Parts
from retrograd.types import Corpus, Query, Ranking

VECTORS = "document_vectors"
"""Key of the document vectors among `Parts.arrays`: (documents, d) float32 in corpus order."""

BASE_VECTORS = "base_vectors"
"""The same of the documents that indexes were made from, where those are others than the corpus."""

_ROWS_AT_ONCE = 8192
"""Vectors held in float64 at a time."""


class VectorModel(Protocol):
    """Texts to vectors whose inner product says how well they match."""

    def query_vectors(self, texts: Sequence[str]) -> np.ndarray:
        """(texts, d) float32."""
        ...

    def document_vectors(self, texts: Sequence[str]) -> np.ndarray:
        """(texts, d) float32."""
        ...


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """Largest inner product between the query's vector and the documents'."""

    index: VectorIndexConfig = field(default_factory=Flat)
    """`Flat` (exact), `Hnsw` or `Ivf`."""

    def build(self, parts: Parts) -> NearestSearcher:
        """Take vectors and index from `parts.arrays`; make them and leave them there where missing.

        Raises:
            ArtifactError: what is there does not belong to this corpus.
        """
        vectors = document_vectors(parts)
        return NearestSearcher(parts.corpus, parts.model, vectors, indexed(self.index, parts, vectors))


def indexed(config: VectorIndexConfig, parts: Parts, vectors: np.ndarray) -> VectorIndex:
    """The index of some vectors as kept in `parts.arrays`; made and left there where it is not.

    Where documents came and went since it was made, it stays as it is: it answers for those that are still
    there, and those that joined are compared one by one.
    """
    prefix, arrays, drift = f"{config.name}.", parts.arrays, parts.drift
    saved = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
    if drift is not None and saved:
        base = parts.once(f"{prefix}index", lambda: config.load(saved, arrays[BASE_VECTORS]))
        return DriftedIndex(base, drift.rows, drift.joined, vectors)
    if saved:
        return config.load(saved, vectors)
    index = config.build(vectors)
    if drift is None:
        arrays.update({prefix + key: array for key, array in index.state().items()})
    return index


class NearestSearcher:
    """Answers by inner product, and scores candidates that another searcher found."""

    def __init__(self, corpus: Corpus, model: VectorModel, vectors: np.ndarray, index: VectorIndex) -> None:
        self._ids, self._row_of = corpus.ids, corpus.row_of
        self._model, self._vectors, self._index = model, vectors, index

    def search(self, queries: Sequence[Query], k: int) -> Ranking:
        """The `k` nearest documents of each query; an empty text is encoded like any other."""
        if not queries:
            return Ranking((), ())
        scores, rows = self.search_rows(queries, k)
        return Ranking.from_rows((query.id for query in queries), rows, scores, self._ids)

    def search_rows(self, queries: Sequence[Query], k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `search`, in matrices: scores (q, k) float32, rows (q, k) int64, -1 padded."""
        return self._index.search(self._query_vectors(queries), k)

    def score(self, queries: Sequence[Query], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """Inner products of each query with its candidate ids, in their order: one (c,) float32 per query."""
        if not queries:
            return []
        return [
            inner_products(self._vectors, [self._row_of[id] for id in ids], query)
            for query, ids in zip(self._query_vectors(queries), candidates, strict=True)
        ]

    def _query_vectors(self, queries: Sequence[Query]) -> np.ndarray:
        return np.asarray(self._model.query_vectors([query.text for query in queries]), dtype=np.float32)


def inner_products(vectors: np.ndarray, rows: Sequence[int] | np.ndarray, query: np.ndarray) -> np.ndarray:
    """Of one vector (d,) with some rows (c,) of a matrix (n, d): (c,) float32, summed in float64."""
    parts = [rows[at : at + _ROWS_AT_ONCE] for at in range(0, len(rows), _ROWS_AT_ONCE)]
    products = [vectors[part].astype(np.float64) @ query for part in parts]
    return np.concatenate([np.zeros(0), *products]).astype(np.float32)


def document_vectors(parts: Parts) -> np.ndarray:
    """(documents, d) float32 of the system's own model, kept in `parts.arrays` once made.

    Raises:
        ArtifactError: what is kept there does not belong to this corpus.
    """
    if VECTORS not in parts.arrays:
        vectors = parts.model.document_vectors(parts.corpus.contents)
        parts.arrays[VECTORS] = np.ascontiguousarray(vectors, dtype=np.float32)
    vectors = parts.arrays[VECTORS]
    if len(vectors) != len(parts.corpus):
        raise ArtifactError(
            f"{len(vectors)} document vectors were saved but the corpus has {len(parts.corpus)} documents; "
            f"drop {VECTORS!r} to make them again"
        )
    return vectors
