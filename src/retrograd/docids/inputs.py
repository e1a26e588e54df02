"""What a docid scheme is given and what it must do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from retrograd.types import Corpus, TextEncoderConfig

VECTOR_SOURCES = ("documents", "pseudo_queries")
"""What a document's vector may be made of: its contents, or the mean of its pseudo-queries."""


@dataclass(frozen=True)
class DocidInputs:
    """One corpus and the means to look at it."""

    corpus: Corpus
    seed: int
    vectors: Callable[[TextEncoderConfig, str], np.ndarray]
    """`(encoder, one of VECTOR_SOURCES)` -> (documents, d) float32 unit rows in corpus order."""

    model_codes: Callable[[], np.ndarray] | None = None
    """() -> (documents, m) int64: the codes a trained network gives these documents; None before there
    is one, or where it gives none."""

    def vectors_of(self, encoder: TextEncoderConfig, of: str) -> np.ndarray:
        """`vectors` as float32, checked for one row per document."""
        vectors = np.asarray(self.vectors(encoder, of), np.float32)
        if vectors.ndim != 2 or len(vectors) != len(self.corpus):
            raise InputError(f"{len(self.corpus)} documents came with vectors of shape {vectors.shape}")
        return vectors


class DocidScheme(Protocol):
    """Gives every document a key. Same inputs, same bytes."""

    def assign(self, inputs: DocidInputs) -> DocidTable:
        """Keys for a whole corpus; document rows are corpus rows."""
        ...

    def insert(self, table: DocidTable, inputs: DocidInputs) -> DocidTable:
        """Keys for the documents of `inputs`, all new, placed by what `assign` left in the table.

        Old keys, their rows and the old document rows stay bit for bit; new rows follow them.
        `level_sizes` may grow.
        """
        ...


def check_vector_source(of: str) -> None:
    """Raise ValueError unless `of` is one of VECTOR_SOURCES."""
    if of not in VECTOR_SOURCES:
        raise ValueError(f"of={of!r}; choose one of {', '.join(VECTOR_SOURCES)}")
