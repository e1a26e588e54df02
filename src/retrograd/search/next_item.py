"""Next items: every item scored for a history at once, without those it holds, equal scores by a rule.

What scores is a `HistoryScores`, counts and networks alike. Texts of queries are not read.
Shapes: q queries, n items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array

from retrograd.types import Corpus, Query, Ranking

_SCORES_AT_ONCE = 1 << 22
"""Entries of the score matrix held in memory: 32 MB of float64."""

UNPROPOSED = -np.inf
"""The score of an item that is no answer."""


@dataclass(frozen=True, eq=False)
class ItemScores:
    """What is said of every item, for some histories."""

    scores: np.ndarray | csr_array
    """(q, n) float. `UNPROPOSED`, or nothing in a sparse matrix, where an item is no answer at all."""

    ties: Callable[[int, np.ndarray], np.ndarray] | None = None
    """(line, (c,) rows) -> (c,) numbers: of items with equal scores the smaller goes first, then the
    smaller row. None: the row alone."""

    logits: bool = False
    """True: a softmax makes shares of them. False: they are counts or the like, in proportion to shares."""

    def line(self, at: int) -> tuple[np.ndarray, np.ndarray]:
        """(c,) scores and (c,) rows of what is said for one history."""
        if isinstance(self.scores, csr_array):
            start, end = self.scores.indptr[at : at + 2]
            return self.scores.data[start:end], self.scores.indices[start:end].astype(np.int64)
        return self.scores[at], self._every_row

    @cached_property
    def _every_row(self) -> np.ndarray:
        return np.arange(self.scores.shape[1])


class HistoryScores(Protocol):
    """Histories to scores of all items."""

    def __call__(self, histories: Sequence[np.ndarray]) -> ItemScores:
        """Of q histories, each (length,) int64 rows, oldest first; some may be empty."""
        ...


class NextItemSearcher:
    """Answers with the items that score highest and scores items that another searcher found.

    Args:
        exclude_history: leave out what the history holds. `score` never does.
    """

    def __init__(self, corpus: Corpus, scores: HistoryScores, *, exclude_history: bool = True) -> None:
        self._ids, self._row_of = corpus.ids, corpus.row_of
        self.scores, self._exclude = scores, exclude_history

    def search(self, queries: Sequence[Query], k: int) -> Ranking:
        """The `k` best items of each query, fewer where fewer are proposed."""
        scores, rows = self.search_rows(queries, k)
        return Ranking.from_rows((query.id for query in queries), rows, scores, self._ids)

    def search_rows(self, queries: Sequence[Query], k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `search`, in matrices: scores (q, k) float64, rows (q, k) int64, -1 padded."""
        all_scores = np.full((len(queries), k), -np.inf)
        all_rows = np.full((len(queries), k), -1, np.int64)
        for start, histories in self._blocks(queries):
            found = self.scores(histories)
            for at, history in enumerate(histories):
                scores, rows = best_items(found, at, k, history if self._exclude else history[:0])
                all_scores[start + at, : len(rows)], all_rows[start + at, : len(rows)] = scores, rows
        return all_scores, all_rows

    def score(self, queries: Sequence[Query], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """The scores of each query's candidates, in their order: (candidates,) float; 0 if not proposed."""
        said = np.zeros(len(self._ids))
        answers: list[np.ndarray] = []
        for _, histories in self._blocks(queries):
            found = self.scores(histories)
            for at in range(len(histories)):
                scores, rows = found.line(at)
                said[rows] = np.where(scores > UNPROPOSED, scores, 0.0)
                answers.append(said[[self._row_of[item] for item in candidates[len(answers)]]])
                said[rows] = 0.0
        return answers

    def _blocks(self, queries: Sequence[Query]) -> Iterator[tuple[int, list[np.ndarray]]]:
        step = max(1, _SCORES_AT_ONCE // len(self._ids))
        for start in range(0, len(queries), step):
            yield start, [history_rows(query, self._row_of) for query in queries[start : start + step]]


def history_rows(query: Query, row_of: Mapping[str, int]) -> np.ndarray:
    """(length,) int64 rows of a query's history, oldest first; items that left the corpus are passed over."""
    return np.asarray([row_of[item] for item in query.history if item in row_of], np.int64)


def best_items(found: ItemScores, at: int, k: int, banned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores and rows of the `k` best items of one line, best first, whatever shares the last place.

    Args:
        banned: (b,) rows that are no answers.
    """
    scores, rows = found.line(at)
    enough = k + len(banned)  # so many stay at least `k` when the banned ones have gone
    if len(scores) > enough:
        among = np.flatnonzero(scores >= np.partition(scores, len(scores) - enough)[len(scores) - enough])
        scores, rows = scores[among], rows[among]
    kept = (scores > UNPROPOSED) & ~np.isin(rows, banned)
    scores, rows = scores[kept], rows[kept]
    ties = rows if found.ties is None else found.ties(at, rows)
    order = np.lexsort((rows, ties, -scores))[:k]
    return scores[order], rows[order]
