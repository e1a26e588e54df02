"""Codes of the document vector as its key: product or residual quantisation.

Product codes: Zhou et al., 2022 (arXiv 2208.09257), section 3.2.
Residual codes: Zeng et al., 2023 (arXiv 2311.09134), with k-means codebooks, or of an autoencoder as in
Rajput et al., 2023 (arXiv 2305.05065), section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrograd.docid_table import DocidTable
from retrograd.docids.append import append_keys, sizes_for
from retrograd.docids.behaviour import NextItemVectors, behaviour_vectors, text_map, unit_rows
from retrograd.docids.collisions import COLLISIONS, expand, reassign, suffix
from retrograd.docids.inputs import DocidInputs, check_vector_source
from retrograd.docids.report import FIT_ERROR
from retrograd.errors import ArtifactError, InputError
from retrograd.quantizers import QUANTIZERS, OptimisedProduct, Quantizer, ResidualAutoencoder, ResidualKMeans
from retrograd.types import State, TextEncoderConfig

HISTORIES = "histories"
FROM_TEXT = "from_text"
"""Name, in a table's state, of the map from vectors of texts to those of what is taken near: (e, d)."""

_NOBODY_TOOK = (
    "these docids are made of what users took, and the dataset has no interactions; give "
    "items.jsonl with interactions.tsv, or RecBole files, or choose docids of documents alone"
)


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """A key is one code per level, plus what the collision policy adds."""

    encoder: TextEncoderConfig
    """Makes the vectors that are quantised."""

    of: str = "documents"
    """`documents`, `pseudo_queries` for the mean vector of each document's pseudo-queries, or `histories` for
    what is taken near it (`docids.behaviour`), and where nobody took it what its text suggests of that."""

    metadata: tuple[str, ...] = ()
    """Fields of the metadata whose words are read behind a document's contents; of `documents` only."""

    quantizer: str = "product"
    """`product` cuts the vector into `levels` pieces; `residual` refines it `levels` times;
    `residual_autoencoder` does so with what a small network makes of it."""

    fitting: OptimisedProduct | ResidualKMeans | ResidualAutoencoder | None = None
    """How that quantiser is fitted where it leaves a choice; None for its defaults."""

    companions: NextItemVectors | None = None
    """What the quantised vectors are aligned with while a `ResidualAutoencoder` with `alignment` is fitted,
    of its width; None where nothing is."""

    levels: int = 4
    codes: int = 32
    """Codes per level."""

    collisions: str = "suffix"
    """`suffix`: one more digit; `expand`: twins share a key; `reassign`: the next nearest free last code."""

    def __post_init__(self) -> None:
        if self.of != HISTORIES:
            check_vector_source(self.of)
        if self.quantizer not in QUANTIZERS:
            raise ValueError(f"quantizer={self.quantizer!r}; choose one of {', '.join(QUANTIZERS)}")
        if self.fitting is not None and self.fitting.quantizer != self.quantizer:
            kind = type(self.fitting).__name__
            raise ValueError(f"{kind} fits {self.fitting.quantizer!r}, not quantizer={self.quantizer!r}")
        self._check_companions()
        if self.metadata and self.of == "pseudo_queries":
            raise ValueError(f"metadata is read of documents, not of={self.of!r}")
        if self.collisions not in COLLISIONS:
            raise ValueError(f"collisions={self.collisions!r}; choose one of {', '.join(COLLISIONS)}")
        if self.levels < 1 or self.codes < 1:
            raise ValueError(f"levels={self.levels} and codes={self.codes} must be at least 1")

    def _check_companions(self) -> None:
        if self.companions is None:
            if self._aligns:
                raise ValueError("alignment needs companions to align with; give the docids NextItemVectors")
        elif not isinstance(self.fitting, ResidualAutoencoder):
            raise ValueError("companions are for a ResidualAutoencoder; give the docids one as `fitting`")
        elif self.companions.width != self.fitting.width:
            widths = f"{self.companions.width} and {self.fitting.width}"
            raise ValueError(f"companions and latent vectors need one width, not {widths}")

    @property
    def _aligns(self) -> bool:
        return isinstance(self.fitting, ResidualAutoencoder) and self.fitting.alignment > 0

    def assign(self, inputs: DocidInputs) -> DocidTable:
        """Fit the codebooks on the corpus and encode it.

        Raises:
            InputError: more product levels than vector dimensions, vectors that are not finite, or nothing
                that anybody took where ids are made of that.
        """
        vectors, state = self._taken(inputs) if self.of == HISTORIES else (self._said(inputs), {})
        quantizer = self._fitted(inputs, vectors)
        keys = self._keys(quantizer, vectors)
        return DocidTable.from_keys(
            keys,
            np.arange(len(keys)),
            inputs.corpus.ids,
            level_sizes=sizes_for(keys, at_least=(self.codes,) * self.levels),
            state=quantizer.state() | state | {FIT_ERROR: _lost(quantizer, vectors)},
        )

    def insert(self, table: DocidTable, inputs: DocidInputs) -> DocidTable:
        """Encode with the frozen codebooks; the policy sees the keys that are there.

        Raises:
            InputError: vectors of another width than the codebooks.
        """
        quantizer = QUANTIZERS[self.quantizer].from_state(table.state)
        vectors = self._said(inputs)
        if self.of == HISTORIES:
            vectors = unit_rows(vectors @ _map_from(table.state, vectors.shape[1]))
        keys = self._keys(quantizer, vectors, table)
        return append_keys(table, keys, inputs.corpus.ids)

    def _fitted(self, inputs: DocidInputs, vectors: np.ndarray) -> Quantizer:
        fitting = QUANTIZERS[self.quantizer] if self.fitting is None else self.fitting
        if not (self._aligns and self.companions is not None and isinstance(fitting, ResidualAutoencoder)):
            return fitting.fit(vectors, self.levels, self.codes, seed=inputs.seed)
        if inputs.next_item_vectors is None:
            raise InputError(_NOBODY_TOOK)
        beside = inputs.next_item_vectors(self.companions)
        return fitting.fit(vectors, self.levels, self.codes, seed=inputs.seed, companions=beside)

    def _said(self, inputs: DocidInputs) -> np.ndarray:
        """(n, d) vectors of texts."""
        of = "documents" if self.of == HISTORIES else self.of
        return inputs.vectors_of(self.encoder, of, self.metadata)

    def _taken(self, inputs: DocidInputs) -> tuple[np.ndarray, State]:
        """(n, d) vectors of what is taken near each document, and how to guess them from texts."""
        if inputs.neighbours is None:
            raise InputError(_NOBODY_TOOK)
        vectors, texts = behaviour_vectors(inputs.neighbours()), self._said(inputs)
        known = vectors.any(axis=1)
        from_text = text_map(texts[known], vectors[known])
        vectors[~known] = unit_rows(texts[~known] @ from_text)
        return vectors, {FROM_TEXT: from_text}

    def _keys(self, quantizer: Quantizer, vectors: np.ndarray, table: DocidTable | None = None) -> np.ndarray:
        codes = quantizer.encode(vectors)
        taken = np.empty((0, self.levels + (self.collisions == "suffix")), np.int64)
        if table is not None:  # the policies ask only who has the same codes, or all of them but the last
            taken = table.padded_keys(table.find_below(codes[:, :-1]))
        if self.collisions == "reassign":
            return reassign(codes, taken, quantizer.last_distances(vectors))
        return {"suffix": suffix, "expand": expand}[self.collisions](codes, taken)


def _map_from(state: State, width: int) -> np.ndarray:
    """The map that guesses vectors from texts of so many dimensions."""
    found = state.get(FROM_TEXT)
    if found is None or found.ndim != 2 or len(found) != width:
        raise ArtifactError("what guesses ids from texts is missing or does not fit; fit the docids again")
    return found


def _lost(quantizer: Quantizer, vectors: np.ndarray) -> np.ndarray:
    """() float32: squared error of what the codes stand for, over the variance; 0 where vectors are equal."""
    error = np.square(quantizer.decode(quantizer.encode(vectors)) - vectors).sum(axis=1).mean()
    variance = vectors.var(axis=0, dtype=np.float64).sum()
    return np.array(error / variance if variance > 1e-12 else 0.0, np.float32)
