"""Codes of the document vector as its key: product or residual quantisation.

Product codes: Zhou et al., 2022 (arXiv 2208.09257), section 3.2.
Residual codes: Zeng et al., 2023 (arXiv 2311.09134), with k-means codebooks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrograd.docid_table import DocidTable
from retrograd.docids.append import append_keys, sizes_for
from retrograd.docids.collisions import COLLISIONS, expand, reassign, suffix
from retrograd.docids.inputs import DocidInputs, check_vector_source
from retrograd.quantizers import QUANTIZERS, ProductQuantizer, ResidualQuantizer
from retrograd.types import TextEncoderConfig


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """A key is one code per level, plus what the collision policy adds."""

    encoder: TextEncoderConfig
    """Makes the vectors that are quantised."""

    of: str = "documents"
    """`documents`, or `pseudo_queries` for the mean vector of each document's pseudo-queries."""

    quantizer: str = "product"
    """`product` cuts the vector into `levels` pieces; `residual` refines it `levels` times."""

    levels: int = 4
    codes: int = 32
    """Codes per level."""

    collisions: str = "suffix"
    """`suffix`: one more digit; `expand`: twins share a key; `reassign`: the next nearest free last code."""

    def __post_init__(self) -> None:
        check_vector_source(self.of)
        if self.quantizer not in QUANTIZERS:
            raise ValueError(f"quantizer={self.quantizer!r}; choose one of {', '.join(QUANTIZERS)}")
        if self.collisions not in COLLISIONS:
            raise ValueError(f"collisions={self.collisions!r}; choose one of {', '.join(COLLISIONS)}")
        if self.levels < 1 or self.codes < 1:
            raise ValueError(f"levels={self.levels} and codes={self.codes} must be at least 1")

    def assign(self, inputs: DocidInputs) -> DocidTable:
        """Fit the codebooks on the corpus and encode it.

        Raises:
            InputError: more product levels than vector dimensions, or vectors that are not finite.
        """
        vectors = inputs.vectors_of(self.encoder, self.of)
        quantizer = QUANTIZERS[self.quantizer].fit(vectors, self.levels, self.codes, seed=inputs.seed)
        width = self.levels + (self.collisions == "suffix")
        keys = self._keys(quantizer, vectors, np.empty((0, width), np.int64))
        return DocidTable.from_keys(
            keys,
            np.arange(len(keys)),
            inputs.corpus.ids,
            level_sizes=sizes_for(keys, at_least=(self.codes,) * self.levels),
            state=quantizer.state(),
        )

    def insert(self, table: DocidTable, inputs: DocidInputs) -> DocidTable:
        """Encode with the frozen codebooks; the policy sees the keys that are there.

        Raises:
            InputError: vectors of another width than the codebooks.
        """
        quantizer = QUANTIZERS[self.quantizer].from_state(table.state)
        keys = self._keys(quantizer, inputs.vectors_of(self.encoder, self.of), table.padded)
        return append_keys(table, keys, inputs.corpus.ids)

    def _keys(
        self, quantizer: ProductQuantizer | ResidualQuantizer, vectors: np.ndarray, taken: np.ndarray
    ) -> np.ndarray:
        codes = quantizer.encode(vectors)
        if self.collisions == "reassign":
            return reassign(codes, taken, quantizer.last_distances(vectors))
        return {"suffix": suffix, "expand": expand}[self.collisions](codes, taken)
