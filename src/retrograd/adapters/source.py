"""What every adapter reads: the system as it is now, its vectors and its docids.

Knows no foreign library or format; each of those has a file of its own.
Shapes: n texts or documents, d dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from retrograd.errors import InputError
from retrograd.search import nearest
from retrograd.system import System


class Live(Protocol):
    """Whoever holds the current system and replaces it when documents change."""

    @property
    def system(self) -> System:
        """The system as it is now."""
        ...


Source = System | Live
"""What adapters take."""

Keys = tuple[tuple[int, ...], ...]
"""The docids of one document as tokens; empty where it has none."""


def current(source: Source) -> System:
    """The system as it is now: read it once per piece of work, so that all of it sees one state."""
    return source if isinstance(source, System) else source.system


def keys_of(system: System, ids: Sequence[str]) -> list[Keys]:
    """The docids of some documents, none where a document or the whole system has none."""
    table = system.table
    if table is None:
        return [()] * len(ids)
    row_of: Mapping[str, int] = system.corpus.row_of
    if table.document_ids != system.corpus.ids:
        row_of = {id: row for row, id in enumerate(table.document_ids)}
    return [tuple(map(table.key, table.keys_of(row_of[id]))) if id in row_of else () for id in ids]


def has_vectors(system: System) -> bool:
    """Whether the model puts queries and documents into one space."""
    return hasattr(system.model, "query_vectors") and hasattr(system.model, "document_vectors")


def document_vectors(system: System) -> np.ndarray:
    """(documents, d) float32 in corpus order; inner products with `query_vectors` say how well they match.

    Raises:
        InputError: the system has no document vectors.
    """
    _must_have_vectors(system)
    # a copy of the mapping: reading a system must not add to what it saves
    return nearest.document_vectors(replace(system.parts, arrays=dict(system.parts.arrays)))


def query_vectors(system: System, texts: Sequence[str]) -> np.ndarray:
    """(n, d) float32 of queries, by the system's own model.

    Raises:
        InputError: the system has no vectors.
    """
    _must_have_vectors(system)
    if not texts:
        return np.zeros((0, system.model.dimensions), np.float32)
    return np.asarray(system.model.query_vectors(list(texts)), np.float32)


def _must_have_vectors(system: System) -> None:
    if not has_vectors(system):
        raise InputError(
            f"a system of the recipe {system.recipe.name!r} has no document vectors; "
            "take one that has (dense, dual_encoder and the like)"
        )


def blocks(count: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover `range(count)`.

    >>> list(blocks(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return (slice(at * size, min((at + 1) * size, count)) for at in range(math.ceil(count / size)))
