"""Searchers made of searchers: several fused into one ranking, or one that reorders another's.

Knows rankings only; any `Searcher` may take part. Equal scores keep the order of the corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from retrograd.search.parts import Parts
from retrograd.types import Hit, Query, Ranking, Searcher


@runtime_checkable
class Scorer(Protocol):
    """Judges documents that someone else found."""

    def score(self, queries: Sequence[Query], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """For each query the scores of its candidate document ids, in their order: (candidates,) float."""
        ...


@dataclass(frozen=True)
class Contribution:
    """What one searcher says about one query, on a scale that adds up with others'."""

    scores: Mapping[str, float]
    missing: float
    """Stands for every document it did not return."""


def reciprocal_ranks(hits: Sequence[Hit], constant: float) -> Contribution:
    """`1 / (constant + rank)`, rank from 1; 0 for the rest (Cormack, Clarke and Buettcher 2009, eq. 1).

    >>> reciprocal_ranks([Hit("a", 9.0), Hit("b", 1.0)], 60.0).scores["b"] == 1 / 62
    True
    """
    return Contribution({hit.document: 1 / (constant + rank) for rank, hit in enumerate(hits, 1)}, 0.0)


def z_scores(hits: Sequence[Hit], constant: float = 0.0) -> Contribution:
    """`(score - mean) / deviation` over the list; 0 where all scores are equal. `constant` is not used.

    A document that is not in the list stands where the last one does, or at -1 if that is lower, so
    that having been found always counts. An empty list says nothing.

    >>> z_scores([Hit("a", 3.0), Hit("b", 1.0)])
    Contribution(scores={'a': 1.0, 'b': -1.0}, missing=-1.0)
    """
    if not hits:
        return Contribution({}, 0.0)
    scores = np.array([hit.score for hit in hits], dtype=np.float64)
    deviation = scores.std()
    scaled = (scores - scores.mean()) / deviation if deviation > 0 else np.zeros_like(scores)
    by_document = {hit.document: float(score) for hit, score in zip(hits, scaled, strict=True)}
    return Contribution(by_document, min(-1.0, float(scaled.min())))


RULES: dict[str, Callable[[Sequence[Hit], float], Contribution]] = {
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
        rankings = [searcher.search(queries, max(k, self._choice.depth)) for searcher in self._searchers]
        lists = zip(*(ranking.hits for ranking in rankings), strict=True)
        fused = tuple(_best(self._fuse(hits), self._row_of, k) for hits in lists)
        return Ranking(tuple(query.id for query in queries), fused)

    def _fuse(self, lists: Sequence[Sequence[Hit]]) -> list[Hit]:
        rule, constant = RULES[self._choice.rule], self._choice.constant
        said = [rule(hits, constant) for hits in lists]
        # Sorting by path length lets the searcher that generated a docid say how it got there.
        found = {
            hit.document: hit
            for hit in sorted((h for hits in lists for h in hits), key=lambda h: len(h.path))
        }
        return [replace(hit, score=self._sum(said, document)) for document, hit in found.items()]

    def _sum(self, said: Sequence[Contribution], document: str) -> float:
        terms = (part.scores.get(document, part.missing) for part in said)
        return sum(weight * term for weight, term in zip(self._weights, terms, strict=True))


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
