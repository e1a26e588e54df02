"""Answers to a text, a history, or both, by one network that walks down the tree of ids.

Joins requests to the probabilities of `id_tree`; how a request is laid out in tokens stands in
`data.request_rows`. Shapes: q requests, n items, L levels, d width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from retrograd.data.request_rows import rows_of_requests
from retrograd.errors import InputError
from retrograd.models.id_tree import embedded_paths, last_nodes
from retrograd.search.id_tree import PathScores
from retrograd.search.next_item import ItemScores, best_items, history_rows
from retrograd.search.parts import Parts
from retrograd.types import Query, Ranking

_AT_ONCE = 512
"""Requests scored together."""


@dataclass(frozen=True, kw_only=True)
class RequestScores:
    """Log-probability of an item's id after what was asked and what was taken."""

    exclude_history: bool = True
    """Never answer with what the asker took before."""

    reads_history: ClassVar[bool] = True

    def build(self, parts: Parts) -> RequestSearcher:
        """The tree of the items there are now.

        Raises:
            InputError: the system has no model of requests.
        """
        if parts.table is None or not hasattr(parts.model, "read"):
            raise InputError("this search needs a model of requests; give the recipe a RequestTransformer")
        return RequestSearcher(parts, exclude_history=self.exclude_history)


class RequestSearcher:
    """Implements `Searcher` and `RowSearcher`.

    Args:
        exclude_history: leave out what the history of a request holds.
    """

    def __init__(self, parts: Parts, *, exclude_history: bool) -> None:
        self._ids, self._row_of = parts.corpus.ids, parts.corpus.row_of
        self._model, self._scores = parts.model, PathScores.of(parts)
        self._leaves = last_nodes(self._scores.paths)
        self._vectors = embedded_paths(self._scores.paths, self._scores.vectors)
        self._exclude = exclude_history

    def search(self, queries: Sequence[Query], k: int) -> Ranking:
        """The `k` best items of each request.

        Raises:
            InputError: a request has neither text nor history.
        """
        scores, rows = self.search_rows(queries, k)
        return Ranking.from_rows((query.id for query in queries), rows, scores, self._ids)

    def search_rows(self, queries: Sequence[Query], k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `search`, in matrices: scores (q, k) float64, rows (q, k) int64, -1 padded."""
        all_scores, all_rows = np.full((len(queries), k), -np.inf), np.full((len(queries), k), -1, np.int64)
        for start in range(0, len(queries), _AT_ONCE):
            some = queries[start : start + _AT_ONCE]
            taken = [history_rows(query, self._row_of) for query in some]
            asked, found = self.scores(some)
            for line, at in enumerate(asked):
                banned = taken[at] if self._exclude else taken[at][:0]
                scores, rows = best_items(found, line, k, banned)
                all_scores[start + at, : len(rows)], all_rows[start + at, : len(rows)] = scores, rows
        return all_scores, all_rows

    def scores(self, queries: Sequence[Query]) -> tuple[list[int], ItemScores]:
        """The places of the requests that can be answered, and the scores of all items for those.

        A request cannot where it has no text and the model knows none of its history.

        Raises:
            InputError: a request has neither text nor history.
        """
        for query in queries:
            if not query.text.strip() and not query.history:
                raise InputError(
                    f"request {query.id!r:.80} has neither a text nor a history; give at least one"
                )
        read = [self._read(query) for query in queries]
        asked = [at for at, (history, text) in enumerate(read) if text or len(history)]
        if not asked:
            return [], ItemScores(np.zeros((0, len(self._ids)), np.float32), logits=True)
        rows = rows_of_requests([read[at] for at in asked], self._model.length)
        states = self._model.last_states(self._model.read(rows), self._vectors)
        return asked, ItemScores(self._scores.log_probabilities(states)[:, self._leaves], logits=True)

    def _read(self, query: Query) -> tuple[np.ndarray, str]:
        """What the model is given: the newest items that it knows, and the text."""
        history, text = history_rows(query, self._row_of), query.text.strip()
        known = history[self._scores.known[self._leaves[history]]]
        return known[-(self._model.length - bool(text)) :], text
