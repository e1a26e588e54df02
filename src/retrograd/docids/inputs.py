"""What a docid scheme is given and what it must do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array

from retrograd.docid_table import DocidTable
from retrograd.docids.behaviour import NextItemVectors
from retrograd.errors import InputError
from retrograd.types import Corpus, Document, TextEncoderConfig

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

    vectors_of_texts: Callable[[TextEncoderConfig, list[str]], np.ndarray] | None = None
    """`(encoder, texts)` -> (texts, d) float32 unit rows, for schemes that read more of a document than its
    contents; None where nobody can encode."""

    neighbours: Callable[[], csr_array] | None = None
    """() -> (documents, documents) how often, and how near, one was taken with another; None where nobody
    took anything."""

    next_item_vectors: Callable[[NextItemVectors], np.ndarray] | None = None
    """Config -> (documents, width) float32 vectors of a network that learnt what is taken next, 0 where
    nobody took an item; None where nobody took anything."""

    def vectors_of(self, encoder: TextEncoderConfig, of: str, metadata: Sequence[str] = ()) -> np.ndarray:
        """`vectors` as float32, checked for one row per document.

        Args:
            metadata: fields that are read behind the contents, see `described`.
        """
        if metadata:
            assert self.vectors_of_texts is not None, "whoever asks for metadata can encode texts"
            made = self.vectors_of_texts(encoder, [described(document, metadata) for document in self.corpus])
        else:
            made = self.vectors(encoder, of)
        vectors = np.asarray(made, np.float32)
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


def described(document: Document, metadata: Sequence[str]) -> str:
    """A document's contents and what some fields of its metadata say, empty ones left out.

    >>> described(Document("d", title="Soap", metadata={"brand": "A", "kinds": ["Bath", "Body"]}), ["kinds"])
    'Soap. Bath, Body'
    """
    found = [document.metadata.get(field) for field in metadata]
    said = [", ".join(map(str, value)) if isinstance(value, list | tuple) else value for value in found]
    return ". ".join(str(part) for part in (document.contents, *said) if part not in (None, ""))


def check_vector_source(of: str) -> None:
    """Raise ValueError unless `of` is one of VECTOR_SOURCES."""
    if of not in VECTOR_SOURCES:
        raise ValueError(f"of={of!r}; choose one of {', '.join(VECTOR_SOURCES)}")
