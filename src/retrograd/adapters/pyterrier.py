"""A system as a PyTerrier transformer: `DataFrame[qid, query]` in, ranked `docno`s out.

Needs pandas; neither Java nor PyTerrier. Where PyTerrier is installed the class is one of its
transformers, so pipelines (`>>`, `%`, `+`, `pt.Experiment`) take it like their own.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from retrograd.adapters.library import library
from retrograd.errors import InputError
from retrograd.types import Query, Ranking

if TYPE_CHECKING:

    class Transformer:
        """PyTerrier's base class, or nothing where it is not installed."""
else:
    try:
        from pyterrier import Transformer
    except ImportError:
        Transformer = object

OF_AN_ANSWER = ("docno", "docid", "score", "rank")
"""Columns that an earlier stage wrote."""


class Answers(Protocol):
    """A `System`, a `LiveSystem`, or any other searcher."""

    def search(self, queries: Sequence[Query], k: int) -> Ranking:
        """The `k` best documents of each query."""
        ...


class Retriever(Transformer):
    """Ranks the documents of a system for each row of queries.

    >>> Retriever(system, num_results=10).transform(topics)  # doctest: +SKIP
    """

    def __init__(self, system: Answers, num_results: int = 1000) -> None:
        """
        Args:
            system: asked anew at each call, so a live one answers with its present documents.
            num_results: documents per query, at least 1.
        """
        super().__init__()
        if num_results < 1:
            raise InputError(f"num_results={num_results} must be at least 1")
        self.system, self.num_results = system, num_results

    def __repr__(self) -> str:
        recipe = getattr(getattr(self.system, "system", self.system), "recipe", None)
        name = type(self.system).__name__ if recipe is None else recipe.name
        return f"Retriever({name}, num_results={self.num_results})"

    def transform(self, inp: Any) -> Any:
        """Answer every query.

        Args:
            inp: a data frame with the columns `qid` and `query`; a column `history` (lists of document ids)
                is read by systems that know histories. Answers of an earlier stage are dropped, each query is
                asked once. A query that is missing (None, NaN) gets no answer and a warning; an empty text is
                asked like any other.

        Returns: the columns of the queries, then `docno`, `score` and `rank` (from 0), best first.

        Raises:
            InputError: a column is missing, a query is no text, or a qid stands for two queries.
        """
        pandas = library("pandas", "pyterrier")
        topics = _topics(pandas, inp)
        rows, queries = _queries(pandas, topics)
        ranking = self.system.search(queries, k=self.num_results) if queries else Ranking((), ())
        found = [
            (row, rank, hit)
            for row, hits in zip(rows, ranking.hits, strict=True)
            for rank, hit in enumerate(hits)
        ]
        answers = topics.iloc[[row for row, _, _ in found]].reset_index(drop=True)
        answers["docno"] = pandas.Series([hit.document for _, _, hit in found], dtype=str)
        answers["score"] = pandas.Series([hit.score for _, _, hit in found], dtype="float64")
        answers["rank"] = pandas.Series([rank for _, rank, _ in found], dtype="int64")
        return answers


def _topics(pandas: Any, inp: Any) -> Any:
    """One row per query, with the columns that belong to it."""
    missing = [name for name in ("qid", "query") if name not in inp.columns]
    if missing:
        given = ", ".join(map(str, inp.columns)) or "none"
        raise InputError(f"the frame needs the columns qid and query; it has {given}")
    for qid, text in zip(inp["qid"], inp["query"], strict=True):
        if not isinstance(text, str) and not _is_missing(pandas, text):
            raise InputError(f"the query of qid {qid!r:.80} must be text, not {type(text).__name__}")
    kept = [name for name in inp.columns if name not in OF_AN_ANSWER]
    if "docno" in inp.columns:  # what is no query's may be a document's
        kept = [name for name in kept if str(name).startswith("q") or name == "history"]
    topics = inp[kept].drop_duplicates(["qid", "query"])
    twice = topics["qid"][topics["qid"].duplicated()]
    if len(twice):
        raise InputError(f"qid {twice.iloc[0]!r:.80} stands for more than one query")
    return topics


def _queries(pandas: Any, topics: Any) -> tuple[list[int], list[Query]]:
    """Positions of the rows that ask something, and what they ask."""
    rows = [row for row, text in enumerate(topics["query"]) if isinstance(text, str)]
    if len(rows) < len(topics):
        warnings.warn(f"{len(topics) - len(rows)} queries have no text and get no answer", stacklevel=3)
    histories = list(topics["history"]) if "history" in topics.columns else [()] * len(topics)
    texts = list(topics["query"])
    return rows, [
        Query(str(row), texts[row], () if _is_missing(pandas, histories[row]) else tuple(histories[row]))
        for row in rows
    ]


def _is_missing(pandas: Any, value: Any) -> bool:
    return bool(pandas.api.types.is_scalar(value) and pandas.isna(value))
