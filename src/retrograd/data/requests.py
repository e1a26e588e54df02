"""Requests: a query together with what its asker took before.

Joins a search log to its collection and cuts examples from it; how a request is written in words is
`interactions.request_text`. Wang et al. 2026, arXiv:2603.10409, section 3: a query and at most ten
clicked titles, answered by the item clicked next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from retrograd.artifacts import sha256_file
from retrograd.data.dataset import Dataset, load_dataset
from retrograd.data.examples import ExampleContext, Examples
from retrograd.data.interactions import check_history, request_text
from retrograd.data.lines import one_of
from retrograd.data.search_log import Purchase, read_search_log, with_histories
from retrograd.data.splits import hash_fraction
from retrograd.errors import InputError
from retrograd.types import Query


@dataclass(frozen=True, kw_only=True)
class TrainRequests:
    """query and titles of what its asker took before -> each document judged relevant to it."""

    items: int = 10
    """Most past items that stand in the text."""

    order: str = "newest_first"
    """One of `interactions.ORDERS`; the `WithHistory` that searches must say the same."""

    fraction: float = 1.0
    """Share of the requests, by hash of their ids: a log may hold more than a budget allows."""

    def __post_init__(self) -> None:
        check_history(self.items, self.order)
        if not 0 < self.fraction <= 1:
            raise ValueError(f"fraction={self.fraction} must be above 0 and at most 1")

    def __call__(self, context: ExampleContext) -> Examples:
        """One example per positive judgement; a query without a history is its text alone."""
        kept = set(hash_fraction((query.id for query in context.queries), self.fraction, salt="requests"))
        return Examples.from_pairs(
            (request_text(context.corpus, query, items=self.items, order=self.order), row)
            for query in context.queries
            if query.id in kept
            for row in context.positives(query)
        )


def load_requests(folder: Path | str, *, interactions: Path | str | None = None) -> Dataset:
    """A search set by its log: every row of `search_log.tsv[.gz]` that may be learnt from or predicted.

    The splits are the log's parts. Each query is one request (`QUERY@USER@ORDER`) with the asker's earlier
    items as history, and its judgement is what was taken, by the number of rows that say so. Rows of part
    `history` are never a request. There are no `Dataset.histories`: whoever cut next-item pairs out of
    them would learn from `history` rows.

    Args:
        interactions: as in `load_dataset`.

    Raises:
        InputError: the folder has no search log, a row is faulty, or two requests get one id.
    """
    folder = Path(folder)
    dataset = load_dataset(folder, interactions=interactions)
    path = one_of(folder, "search_log.tsv")
    if path is None:
        raise InputError("search_log.tsv (or search_log.tsv.gz) is missing", path=folder)
    log = read_search_log(path, queries=dataset.queries, items=dataset.corpus.row_of)
    queries, qrels = _judged(log, dataset.queries)
    return replace(
        dataset,
        queries=queries,
        qrels=qrels,
        name=f"{dataset.name}_requests",
        hashes={**dataset.hashes, path.name: sha256_file(path)},
    )


def _judged(
    log: Iterable[Purchase], texts: Mapping[str, Query]
) -> tuple[dict[str, Query], dict[str, dict[str, dict[str, int]]]]:
    queries: dict[str, Query] = {}
    owners: dict[str, tuple[str, str, int]] = {}
    qrels: dict[str, dict[str, dict[str, int]]] = {}
    for row, past in with_histories(log):
        name = f"{row.query}@{row.user}@{row.order}"
        if owners.setdefault(name, (row.query, row.user, row.order)) != (row.query, row.user, row.order):
            raise InputError(f"two requests would be called {name!r:.80}; take @ out of the ids")
        queries[name] = Query(name, texts[row.query].text, past)
        grades = qrels.setdefault(row.part, {}).setdefault(name, {})
        grades[row.item] = grades.get(row.item, 0) + 1
    return queries, qrels
