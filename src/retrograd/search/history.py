"""Whoever asks is part of the question: a searcher that reads a query together with its history.

Knows how a request is written in words only through `data.interactions.request_text`, which the
training examples use too; the searcher it wraps sees plain queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retrograd.data.interactions import check_history, request_text
from retrograd.search.combine import Scorer
from retrograd.search.parts import Parts
from retrograd.types import Corpus, Query, Ranking, Searcher


@dataclass(frozen=True, kw_only=True)
class WithHistory:
    """Put the titles of `Query.history` behind the query's text, then search."""

    search: Any
    """A search config."""

    items: int = 10
    """Most past items that are read."""

    order: str = "newest_first"
    """One of `data.interactions.ORDERS`, as the model was trained (`TrainRequests`)."""

    reads_history: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_history(self.items, self.order)

    def build(self, parts: Parts) -> HistorySearcher | HistoryScorer:
        """Build the searcher inside; what comes out scores given documents where that one does."""
        inner: Searcher = self.search.build(parts)
        reader = HistoryReader(parts.corpus, self.items, self.order)
        return (
            HistoryScorer(inner, inner, reader)
            if isinstance(inner, Scorer)
            else HistorySearcher(inner, reader)
        )


@dataclass(frozen=True, eq=False)
class HistoryReader:
    """Requests to plain queries."""

    corpus: Corpus
    items: int
    order: str

    def __call__(self, queries: Sequence[Query]) -> list[Query]:
        """The same ids with the history in the text; items that left the corpus are passed over."""
        return [
            Query(query.id, request_text(self.corpus, query, items=self.items, order=self.order))
            if query.history
            else query
            for query in queries
        ]


@dataclass(frozen=True, eq=False)
class HistorySearcher:
    """Asks the searcher inside for what the whole request says."""

    inner: Searcher
    read: HistoryReader

    def search(self, queries: Sequence[Query], k: int) -> Ranking:
        """The `k` best documents of each request."""
        return self.inner.search(self.read(queries), k)


@dataclass(frozen=True, eq=False)
class HistoryScorer:
    """The same, for a searcher that also scores documents somebody else found."""

    inner: Searcher
    scorer: Scorer
    read: HistoryReader

    def search(self, queries: Sequence[Query], k: int) -> Ranking:
        """The `k` best documents of each request."""
        return self.inner.search(self.read(queries), k)

    def score(self, queries: Sequence[Query], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """The scores of each request's candidates, in their order: (candidates,) float."""
        return self.scorer.score(self.read(queries), candidates)
