"""Vectors of items from what is taken near them, and from their texts where nobody took them.

Shapes: n items, t of them taken, d dimensions, e dimensions of a text's vector.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from retrograd.errors import InputError

DIMENSIONS = 128
"""d; fewer items than that leave the rest at 0."""

RIDGE = 1.0
"""Weight of the squared map against the squared errors of the items."""


@dataclass(frozen=True, kw_only=True)
class NextItemVectors:
    """How vectors of items are learnt by a causal transformer that says what is taken next, from the
    histories that a system is fitted on; an item that nobody took gets a vector of 0."""

    width: int = 32
    """Dimensions."""

    length: int = 50
    """Items before a target, at most."""

    epochs: int = 12
    learning_rate: float = 0.01
    dropout: float = 0.2

    def __post_init__(self) -> None:
        if min(self.width, self.length, self.epochs) < 1 or not self.learning_rate > 0:
            raise InputError(
                "width, length and epochs must be at least 1, and learning_rate must be positive"
            )


def behaviour_vectors(counts: csr_array, dimensions: int = DIMENSIONS) -> np.ndarray:
    """Unit vectors whose inner products follow how much more often than by chance two items come together.

    The largest singular vectors of the positive pointwise mutual information, times the roots of their values
    (Levy and Goldberg 2014, "Neural Word Embedding as Implicit Matrix Factorization", section 5.1).

    Args:
        counts: (n, n) not negative, how often, or how near, a column's item came with a row's.

    Returns: (n, dimensions) float32; 0 for an item that came with none.

    >>> behaviour_vectors(csr_array(np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0] * 3])), 2).shape
    (3, 2)
    """
    from sklearn.utils.extmath import randomized_svd

    pairs = counts.tocoo()
    rows, columns = pairs.coords
    of_row, of_column = np.asarray(counts.sum(axis=1)).ravel(), np.asarray(counts.sum(axis=0)).ravel()
    ratio = pairs.data * of_row.sum() / (of_row[rows] * of_column[columns])
    kept = ratio > 1
    information = csr_array((np.log(ratio[kept]), (rows[kept], columns[kept])), shape=counts.shape)
    found = np.zeros((counts.shape[0], dimensions), np.float32)
    rank = min(dimensions, counts.shape[0])
    if kept.any():
        left, values, _ = randomized_svd(information, rank, n_iter=5, random_state=0, flip_sign=True)
        found[:, :rank] = left * np.sqrt(values)
    found[np.diff(information.indptr) == 0] = 0.0  # and not the noise of the decomposition
    return unit_rows(found)


def text_map(texts: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """(e, d) float32: the linear map from texts' vectors to items' that errs least, by ridge regression.

    Args:
        texts: (t, e).
        vectors: (t, d) of the same items.
    """
    texts = texts.astype(np.float64)
    within = texts.T @ texts + RIDGE * np.eye(texts.shape[1])
    return np.asarray(np.linalg.solve(within, texts.T @ vectors), np.float32)


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1; those of length 0 stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: np.ndarray = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return found
