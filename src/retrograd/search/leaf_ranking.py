"""From ranked keys to ranked documents by what a decoder and the vectors say together.

Wang et al. 2026 (arXiv 2603.10409), section 3.4, sort by the score of the key and break ties by cosine.
Shapes: c candidate documents, d dimensions, w keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from retrograd.search.beam import BeamResult
from retrograd.search.nearest import inner_products
from retrograd.search.resolve import Resolver
from retrograd.types import Hit


def lexicographic(beam: np.ndarray, cosine: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """By the key's score, ties by cosine. As the two rules below: (c,) order before ties, (c,) score."""
    del alpha
    return np.lexsort((-cosine, -beam)), beam


def with_cosine(beam: np.ndarray, cosine: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """By the key's score + alpha * cosine."""
    total = beam + alpha * cosine
    return np.argsort(-total, kind="stable"), total


def cosine_only(beam: np.ndarray, cosine: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """By cosine among the documents the keys lead to."""
    del beam, alpha
    return np.argsort(-cosine, kind="stable"), cosine


RANKS: dict[str, Callable[[np.ndarray, np.ndarray, float], tuple[np.ndarray, np.ndarray]]] = {
    "lexicographic": lexicographic,
    "sum": with_cosine,
    "cosine": cosine_only,
}
"""Rules that order the documents; equal ones keep the order of the corpus."""


def check_rank(rank: str) -> None:
    """ValueError unless it is one of `RANKS`."""
    if rank not in RANKS:
        raise ValueError(f"rank={rank!r}; choose one of {', '.join(RANKS)}")


class RankRule(NamedTuple):
    """How documents are ordered."""

    rank: str
    """One of `RANKS`."""

    alpha: float
    """Factor on the cosine in `sum`."""

    decoder_weight: float
    """Factor on the score of the keys."""


class LeafRanking:
    """Orders the documents of found keys.

    Args:
        vectors: (documents, d) float32.
    """

    def __init__(self, resolver: Resolver, vectors: np.ndarray, rule: RankRule) -> None:
        self.resolver, self._vectors, self._rule = resolver, vectors, rule

    def hits(
        self, query_vector: np.ndarray, result: BeamResult, query: int, k: int
    ) -> tuple[tuple[Hit, ...], int]:
        """The `k` best documents of one query of a result, and how many vectors were compared.

        Args:
            query_vector: (d,) float32.
            query: its row in `result`.
        """
        named = self.resolver.documents(result.keys[query].tolist(), len(self._vectors))
        rows, place = np.asarray(sorted(named), np.int64).reshape(-1, 2).T
        beam = result.scores[query].cpu().numpy()[place] * self._rule.decoder_weight
        cosine = inner_products(self._vectors, rows, query_vector)
        order, score = RANKS[self._rule.rank](beam, cosine, self._rule.alpha)
        best = order[:k]
        columns = (
            rows[best],
            score[best],
            *(part[query].cpu().numpy()[place[best]] for part in (result.paths, result.steps)),
        )
        hits = tuple(self.resolver.hit(*hit) for hit in zip(*(c.tolist() for c in columns), strict=True))
        return hits, len(rows)
