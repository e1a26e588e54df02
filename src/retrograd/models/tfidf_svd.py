"""Texts to unit vectors without pretrained weights: TF-IDF, then truncated SVD.

For machines without weights and for tests; seconds to fit, the same bytes each time. Knows texts
only. What it learns is plain arrays, so it is rebuilt without pickle.
Shapes: n texts, f terms, d dimensions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from retrograd.artifacts import array_to_text, text_to_array
from retrograd.errors import ArtifactError, InputError
from retrograd.models.plain_text import encodable
from retrograd.types import State


@dataclass(frozen=True, kw_only=True)
class TfidfSvd:
    """Latent semantic analysis with log term frequencies.

    Deerwester et al., "Indexing by latent semantic analysis", JASIS 1990; the factorisation is
    randomised (Halko et al., SIAM Review 2011, algorithms 4.4 and 5.1) with a fixed start.
    """

    dimensions: int = 128
    """Length of a vector. Axes the collection cannot fill are zero."""

    max_features: int = 50_000
    """Terms kept, the most frequent first."""

    def __post_init__(self) -> None:
        if self.dimensions < 1 or self.max_features < 1:
            raise ValueError(f"{self} needs at least one dimension and one feature")

    def fit(self, texts: Sequence[str]) -> State:
        """Terms, their idf (f,) float32 and the axes (d, f) float32.

        Raises:
            InputError: no text holds a word.
        """
        from sklearn.utils.extmath import randomized_svd

        vectorizer = _vectorizer(max_features=self.max_features)
        try:
            weights = vectorizer.fit_transform(encodable(texts))
        except ValueError:
            raise InputError("no text of the collection holds a word; a TF-IDF encoder needs some") from None
        rank = min(self.dimensions, *weights.shape)
        _, _, axes = randomized_svd(weights, rank, n_iter=5, random_state=0, flip_sign=False)
        largest = np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1)
        components = np.zeros((self.dimensions, weights.shape[1]), np.float32)
        # An axis is only known up to its sign; its largest entry is made positive.
        components[:rank] = axes * np.where(largest < 0, -1, 1)
        terms = "\n".join(vectorizer.get_feature_names_out())
        return {
            "vocabulary": text_to_array(terms),
            "idf": vectorizer.idf_.astype(np.float32),
            "components": components,
        }

    def build(self, state: State) -> TfidfEncoder:
        """The encoder, from what `fit` learnt.

        Raises:
            ArtifactError: the arrays do not fit each other.
        """
        if state["components"].shape[1:] != state["idf"].shape or state["idf"].ndim != 1:
            raise ArtifactError("the arrays of a TF-IDF encoder do not fit each other; fit it again")
        return TfidfEncoder(state)


class TfidfEncoder:
    """Implements `types.TextEncoder`; queries and documents are encoded alike.

    A text without a known term gets the first axis, the direction most of the collection shares:
    rows are unit vectors without exception.
    """

    symmetric = True
    cacheable = False
    """Encoding is as fast as looking up."""

    def __init__(self, state: State) -> None:
        self._state = state

    @property
    def dimensions(self) -> int:
        """Length d of a vector."""
        return len(self._state["components"])

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over all that was learnt."""
        digest = hashlib.sha256(b"tf-idf svd")
        for name in ("vocabulary", "idf", "components"):
            digest.update(hashlib.sha256(np.ascontiguousarray(self._state[name]).tobytes()).digest())
        return digest.hexdigest()

    def encode_query(self, texts: Sequence[str]) -> np.ndarray:
        """(n, d) float32, unit rows."""
        return self._encode(texts)

    def encode_document(self, texts: Sequence[str]) -> np.ndarray:
        """(n, d) float32, unit rows."""
        return self._encode(texts)

    def _encode(self, texts: Sequence[str]) -> np.ndarray:
        if not texts:
            return np.zeros((0, self.dimensions), np.float32)
        vectors = np.asarray(
            self._vectorizer.transform(encodable(texts)) @ self._state["components"].T, np.float32
        )
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        nowhere = lengths[:, 0] < 1e-6
        vectors[nowhere], lengths[nowhere] = np.eye(1, self.dimensions, dtype=np.float32), 1.0
        unit: np.ndarray = vectors / lengths
        return unit

    @cached_property
    def _vectorizer(self) -> Any:
        vectorizer = _vectorizer(vocabulary=array_to_text(self._state["vocabulary"]).split("\n"))
        vectorizer.idf_ = self._state["idf"]
        return vectorizer


def _vectorizer(**options: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        sublinear_tf=True, strip_accents="unicode", token_pattern=r"(?u)\b\w+\b", dtype=np.float32, **options
    )
