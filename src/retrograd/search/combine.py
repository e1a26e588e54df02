"""Searchers made of searchers: several fused into one ranking, or one that reorders another's.

Knows rankings only; any `Searcher` may take part. Equal scores keep the order of the corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from retrograd.search.parts import Parts
from retrograd.types import Hit, Query, Ranking, Searcher, best_rows


@runtime_checkable
class Scorer(Protocol):
    """Judges documents that someone else found."""

    def score(self, queries: Sequence[Query], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """For each query the scores of its candidate document ids, in their order: (candidates,) float."""
        ...


@dataclass(frozen=True)
class Contribution:
    """What one searcher says about each query, on a scale that adds up with others'."""

    scores: np.ndarray
    """(q, k) float64; what stands at padding means nothing."""

    missing: np.ndarray
    """(q,) float64, stands for every document it did not return."""


def reciprocal_ranks(scores: np.ndarray, found: np.ndarray, constant: float) -> Contribution:
    """`1 / (constant + rank)`, rank from 1; 0 for the rest (Cormack, Clarke and Buettcher 2009, eq. 1).

    Args:
        scores: (q, k) float, best first.
        found: (q, k) bool, False for padding.

    >>> reciprocal_ranks(np.array([[9.0, 1.0]]), np.ones((1, 2), bool), 60.0).scores[0, 1] == 1 / 62
    np.True_
    """
    ranks = 1 / (constant + np.arange(1, scores.shape[1] + 1))
    return Contribution(np.broadcast_to(ranks, scores.shape), np.zeros(len(found)))


def z_scores(scores: np.ndarray, found: np.ndarray, constant: float = 0.0) -> Contribution:
    """`(score - mean) / deviation` over the list; 0 where all scores are equal. `constant` is not used.

    A document that is not in the list stands where the last one does, or at -1 if that is lower, so
    that having been found always counts. An empty list says nothing. Arguments as `reciprocal_ranks`.

    >>> z_scores(np.array([[3.0, 1.0]]), np.ones((1, 2), bool))
    Contribution(scores=array([[ 1., -1.]]), missing=array([-1.]))
    """
    del constant
    scores = np.where(found, scores, 0.0).astype(np.float64)
    count = np.maximum(found.sum(1, keepdims=True), 1)
    centred = np.where(found, scores - scores.sum(1, keepdims=True) / count, 0.0)
    deviation = np.sqrt((centred**2).sum(1, keepdims=True) / count)
    highest = scores.max(1, keepdims=True, initial=-np.inf, where=found)
    lowest = scores.min(1, keepdims=True, initial=np.inf, where=found)
    scaled = np.divide(centred, deviation, out=np.zeros_like(scores), where=highest > lowest)
    last = scaled.min(1, initial=-1.0, where=found)
    return Contribution(scaled, np.where(found.any(1), last, 0.0))


RULES: dict[str, Callable[[np.ndarray, np.ndarray, float], Contribution]] = {
    "reciprocal_rank": reciprocal_ranks,
    "z_score": z_scores,
}
"""How the lists of several searchers are put on one scale."""


@dataclass(frozen=True, kw_only=True)
class Fuse:
    """The weighted sum of what several searchers say."""

    parts: tuple[Any, ...]
    """Search configs."""

    rule: str = "reciprocal_rank"
    """`reciprocal_rank` (needs no comparable scores) or `z_score` (keeps how far ahead a document is)."""

    weights: tuple[float, ...] = ()
    """One per searcher; () weighs all alike."""

    depth: int = 100
    """Documents asked of each searcher, or k where that is more."""

    constant: float = 60.0
    """Of `reciprocal_rank`: larger flattens the advantage of the first ranks."""

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ValueError(f"rule={self.rule!r}; choose one of {', '.join(RULES)}")
        if not self.parts or len(self.weights) not in (0, len(self.parts)):
            raise ValueError(
                f"{len(self.weights)} weights for {len(self.parts)} searchers; give one each or none"
            )
        if self.depth < 1 or self.constant < 0:
            raise ValueError(f"depth={self.depth} must be at least 1, constant={self.constant} not negative")

    def build(self, parts: Parts) -> FusedSearcher:
        """Build every part on the same fitted pieces."""
        return FusedSearcher([config.build(parts) for config in self.parts], parts.corpus.row_of, self)


class FusedSearcher:
    """Asks every searcher and adds up what they say.

    Args:
        searchers: any searchers over one catalogue; the `parts` of `choice` are not looked at again.
        row_of: document id -> row, which decides between equal scores.
        choice: rule, weights, depth and constant.
    """

    def __init__(self, searchers: Sequence[Searcher], row_of: Mapping[str, int], choice: Fuse) -> None:
        self._searchers, self._row_of, self._choice = searchers, row_of, choice
        self._weights = choice.weights or (1.0,) * len(searchers)

    def search(self, queries: Sequence[Query], k: int) -> Ranking:
        """The `k` documents with the largest sum."""
        depth = max(k, self._choice.depth)
        rankings = [searcher.search(queries, depth) for searcher in self._searchers]
        scores, rows = self._fuse([ranking.rows(self._row_of, depth) for ranking in rankings], k)
        fused = Ranking.from_rows((query.id for query in queries), rows, scores, tuple(self._row_of))
        lists = zip(*(ranking.hits for ranking in rankings), strict=True)
        return replace(fused, hits=tuple(map(_with_paths, fused.hits, lists)))

    def search_rows(self, queries: Sequence[Query], k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `search`, in matrices: scores (q, k) float64, rows (q, k) int64, -1 padded."""
        depth = max(k, self._choice.depth)
        lists = [best_rows(searcher, queries, depth, self._row_of) for searcher in self._searchers]
        return self._fuse(lists, k)

    def _fuse(self, lists: Sequence[tuple[np.ndarray, np.ndarray]], k: int) -> tuple[np.ndarray, np.ndarray]:
        """(scores, rows) of every searcher -> those of the weighted sum, each (q, k)."""
        rule, constant = RULES[self._choice.rule], self._choice.constant
        said = [rule(scores, rows >= 0, constant) for scores, rows in lists]
        return weighted_sum(said, [rows for _, rows in lists], self._weights, k)


def weighted_sum(
    said: Sequence[Contribution], rows: Sequence[np.ndarray], weights: Sequence[float], k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The `k` documents with the largest weighted sum of contributions, ties by row.

    Args:
        said: of each searcher.
        rows: (q, depth) int64 document rows of each searcher, -1 padded, none twice in a line.
        weights: of each searcher.

    Returns: scores (q, k) float64 (-inf at padding) and rows (q, k) int64, -1 padded.
    """
    documents = np.concatenate([*rows, np.full((len(rows[0]), k), -1)], axis=1)
    order = documents.argsort(axis=1, kind="stable")
    documents = np.take_along_axis(documents, order, 1)
    first = np.diff(documents, axis=1, prepend=-2) != 0  # where a document's run of entries begins
    runs, queries = np.flatnonzero(first), np.nonzero(first)[0]
    sums = np.zeros(len(runs))
    at = 0
    for part, own, weight in zip(said, rows, weights, strict=True):
        column = np.full(documents.shape, -np.inf)
        column[:, at : at + own.shape[1]] = part.scores
        best = np.maximum.reduceat(np.take_along_axis(column, order, 1).ravel(), runs)
        sums += weight * np.where(best > -np.inf, best, part.missing[queries])
        at += own.shape[1]
    scores = np.full(documents.shape, -np.inf)
    scores.ravel()[runs] = sums
    scores[documents < 0] = -np.inf
    best_first = (-scores).argsort(axis=1, kind="stable")[:, :k]
    scores, rows_found = (np.take_along_axis(matrix, best_first, 1) for matrix in (scores, documents))
    return scores, np.where(scores > -np.inf, rows_found, -1)


def _with_paths(fused: Sequence[Hit], lists: Sequence[Sequence[Hit]]) -> tuple[Hit, ...]:
    """The hits with the path of the searcher that generated the docid, where one did."""
    generated = sorted((hit for hits in lists for hit in hits if hit.path), key=lambda hit: len(hit.path))
    if not generated:
        return tuple(fused)
    by = {hit.document: hit for hit in generated}
    return tuple(replace(by[hit.document], score=hit.score) if hit.document in by else hit for hit in fused)


@dataclass(frozen=True, kw_only=True)
class Rerank:
    """One searcher finds, another decides the order."""

    first: Any
    """Search config of the one that finds."""

    by: Any
    """Search config of the one that scores what was found; what it builds must be a `Scorer`."""

    depth: int = 100
    """Documents found and scored, or k where that is more."""

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ValueError(f"depth={self.depth} must be at least 1")

    def build(self, parts: Parts) -> RerankedSearcher:
        """Build both on the same fitted pieces.

        Raises:
            TypeError: `by` cannot score given documents.
        """
        scorer = self.by.build(parts)
        if not isinstance(scorer, Scorer):
            raise TypeError(f"{type(self.by).__name__} cannot score given documents; rerank by Nearest, say")
        return RerankedSearcher(self.first.build(parts), scorer, parts.corpus.row_of, depth=self.depth)


class RerankedSearcher:
    """Asks `first` for candidates and orders them by the scores `scorer` gives."""

    def __init__(
        self, first: Searcher, scorer: Scorer, row_of: Mapping[str, int], *, depth: int = 100
    ) -> None:
        self._first, self._scorer, self._row_of, self._depth = first, scorer, row_of, depth

    def search(self, queries: Sequence[Query], k: int) -> Ranking:
        """The `k` best of the candidates; nothing that `first` did not find."""
        found = self._first.search(queries, max(k, self._depth)).hits
        scores = self._scorer.score(queries, [[hit.document for hit in hits] for hits in found])
        scored = (
            [replace(hit, score=float(score)) for hit, score in zip(hits, row, strict=True)]
            for hits, row in zip(found, scores, strict=True)
        )
        best = tuple(_best(hits, self._row_of, k) for hits in scored)
        return Ranking(tuple(query.id for query in queries), best)


def _best(hits: Sequence[Hit], row_of: Mapping[str, int], k: int) -> tuple[Hit, ...]:
    return tuple(sorted(hits, key=lambda hit: (-hit.score, row_of[hit.document]))[:k])
