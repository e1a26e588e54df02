"""Ids that the network itself assigns, and assigns again as it learns.

Before training the codes are clusters of the frozen encoder's vectors; afterwards they are whatever
the model's own quantiser says. Wang et al., 2026 (arXiv 2603.10409), section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from retrograd.docid_table import DocidTable
from retrograd.docids.append import append_keys
from retrograd.docids.collisions import expand
from retrograd.docids.inputs import DocidInputs, check_vector_source
from retrograd.quantizers.codebooks import codebooks_from_state, codebooks_to_state
from retrograd.quantizers.soft_residual import CLUSTERS, starting_codebooks, starting_codes
from retrograd.types import TextEncoderConfig


@dataclass(frozen=True, kw_only=True)
class LearnedCodes:
    """A key is the model's code of the document at each level; twins share a key."""

    encoder: TextEncoderConfig
    """Makes the vectors the codes start from."""

    codes: tuple[int, ...] = (256, 256, 256)
    """Codes per level; 0 takes about the square root of the number of documents, from 16 to 256. A small
    collection gets no more than it has distinct residuals."""

    of: str = "documents"
    """What a document's first vector is made of; see `docids.inputs.VECTOR_SOURCES`."""

    moves: bool = True
    """False: the first ids stay, whatever the model learns (an index that was built beforehand)."""

    clusters: str = "cosine"
    """How the first vectors are clustered: by `cosine`, as a model scores codes, or `euclidean`."""

    def __post_init__(self) -> None:
        check_vector_source(self.of)
        if self.clusters not in CLUSTERS:
            raise ValueError(f"clusters={self.clusters!r}; choose one of {', '.join(CLUSTERS)}")
        if not self.codes or min(self.codes) < 0:
            raise ValueError(f"codes={self.codes} must be one or more numbers, none negative")

    def sizes(self, num_documents: int) -> tuple[int, ...]:
        """Codes per level for a corpus.

        >>> from retrograd.models.text_encoder import MiniLM
        >>> LearnedCodes(encoder=MiniLM(), codes=(0, 8)).sizes(10_000)
        (100, 8)
        """
        fitting = min(max(round(num_documents**0.5), 16), 256)
        return tuple(size or fitting for size in self.codes)

    collisions: ClassVar[str] = "expand"
    """Twins share a key, always: a tie-breaking digit would say nothing that the model could learn."""

    def assign(self, inputs: DocidInputs) -> DocidTable:
        """The clusters of the first vectors.

        Raises:
            InputError: vectors that are not finite.
        """
        vectors = inputs.vectors_of(self.encoder, self.of)
        sizes = self.sizes(len(vectors))
        books = starting_codebooks(vectors, sizes, seed=inputs.seed, clusters=self.clusters)
        codes = starting_codes(vectors, books, clusters=self.clusters)
        return self._table(codes, inputs, tuple(len(book) for book in books), codebooks_to_state(books))

    def refresh(self, table: DocidTable, inputs: DocidInputs) -> DocidTable:
        """The table of the same documents under the model as it is now; the old one if ids stay."""
        if not self.moves or inputs.model_codes is None:
            return table
        return self._table(inputs.model_codes(), inputs, table.level_sizes, table.state)

    def _table(
        self, codes: np.ndarray, inputs: DocidInputs, sizes: tuple[int, ...], state: dict[str, np.ndarray]
    ) -> DocidTable:
        keys = expand(codes, np.empty((0, codes.shape[1]), np.int64))
        return DocidTable.from_keys(
            keys, np.arange(len(keys)), inputs.corpus.ids, level_sizes=sizes, state=state
        )

    def insert(self, table: DocidTable, inputs: DocidInputs) -> DocidTable:
        """New documents get the model's codes; without a model, those of the first codebooks.

        Raises:
            InputError: vectors of another width than the codebooks.
        """
        if inputs.model_codes is not None and self.moves:
            codes = inputs.model_codes()
        else:
            books = codebooks_from_state(table.state)
            vectors = inputs.vectors_of(self.encoder, self.of)
            codes = starting_codes(vectors, books, clusters=self.clusters)
        return append_keys(table, expand(codes, codes[:0]), inputs.corpus.ids)
