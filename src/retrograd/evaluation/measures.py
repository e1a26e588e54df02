"""Measures: how good a ranking is against judgements, in the standard names (`nDCG@10`, `R@100`).

Knows rankings and judgements only, never which system produced them or what it cost. The arithmetic is
that of ir-measures; what is decided here is who counts (every judged query) and in which order (the
ranking's own: its scores are not read again, so ties cannot be broken a second way).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import fsum
from typing import Any

from retrograd.errors import InputError
from retrograd.types import Hit, Qrels, Ranking

DEFAULT_MEASURES = ("nDCG@10", "R@10", "R@100", "RR@10")
"""What a first look at a search system needs."""

NEXT_ITEM_MEASURES = ("R@5", "nDCG@5", "R@10", "nDCG@10")
"""What is reported of a recommender; with one relevant item R@k is its hit rate."""

EXAMPLES = (
    *DEFAULT_MEASURES,
    "P@1",
    "P(rel=2)@10",
    "Success@5",
    "AP",
    "AP@100",
    "RR",
    "Rprec",
    "Bpref",
    "Judged@10",
)

_NAME = re.compile(
    r"(?:(?:P|R|RR|AP|Success)(?:\(rel=[1-9]\d?\))?|nDCG|Judged)@[1-9]\d{0,6}"
    r"|(?:RR|AP|Rprec|Bpref)(?:\(rel=[1-9]\d?\))?|nDCG"
)


@dataclass(frozen=True)
class Scores:
    """One value per measure and query, and the means of them."""

    per_query: dict[str, dict[str, float]]
    """Measure -> query id -> value; every measure holds the same queries."""

    @cached_property
    def mean(self) -> dict[str, float]:
        """Measure -> mean over the queries.

        >>> Scores({"P@1": {"q1": 1.0, "q2": 0.0}}).mean
        {'P@1': 0.5}
        """
        return {measure: fsum(values.values()) / len(values) for measure, values in self.per_query.items()}

    @property
    def query_ids(self) -> tuple[str, ...]:
        """The queries that were measured, in the order of the judgements."""
        return tuple(next(iter(self.per_query.values())))


def check_measure(name: str) -> str:
    """`name` itself when it is a measure.

    Raises:
        InputError: it is none. (ir-measures itself crashes the process on some names, `nDCG@0` among them.)
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"measure {name!r} is not known; write it like one of {', '.join(EXAMPLES)}")
    return name


def evaluate(ranking: Ranking, qrels: Qrels, measures: Iterable[str] = DEFAULT_MEASURES) -> Scores:
    """Measures of a ranking over every query of the judgements.

    A judged query that the ranking lacks or leaves without answers counts as 0; answers to queries
    without judgements are ignored; a document without a judgement is not relevant.

    Args:
        ranking: best first; only its order matters.
        qrels: grades, relevant from 1 on.
        measures: names as in `EXAMPLES`.

    Raises:
        InputError: no judgement, an unknown measure, a document twice under one query, or not one query
            in common (then the ids are of different data sets).

    >>> from retrograd.types import Hit
    >>> ranking = Ranking(("q1", "q2"), ((Hit("a", 0.0), Hit("b", 0.0)), ()))
    >>> evaluate(ranking, {"q1": {"b": 1}, "q2": {"a": 1}}, ["RR@10"]).mean
    {'RR@10': 0.25}
    """
    names = [check_measure(name) for name in measures]
    if not names:
        raise InputError(
            f"no measure was named; name at least one, for example {', '.join(DEFAULT_MEASURES)}"
        )
    if not qrels:
        raise InputError("the judgements hold no query; give at least one")
    if qrels.keys().isdisjoint(ranking.query_ids):
        raise InputError(
            f"not one query of the ranking (such as {ranking.query_ids[:1]}) is judged "
            f"(such as {next(iter(qrels))!r}); are these judgements of the same data?"
        )
    return Scores(_measure(_strict_run(ranking, qrels), qrels, names))


def average_seeds(runs: Sequence[Scores]) -> Scores:
    """Per query and measure, the mean over runs of one system that differ only by seed.

    Tests over queries then see one value per query, so that more seeds never pass for more queries.

    Raises:
        InputError: no run, or runs that measured different things or different queries.
    """
    if not runs:
        raise InputError("no run to average; give at least one")
    first = runs[0].per_query
    for run in runs[1:]:
        if any(run.per_query.get(name, {}).keys() != values.keys() for name, values in first.items()):
            raise InputError("runs to average differ in their measures or queries; evaluate them alike")
    return Scores(
        {
            name: {query: fsum(run.per_query[name][query] for run in runs) / len(runs) for query in values}
            for name, values in first.items()
        }
    )


def _strict_run(ranking: Ranking, qrels: Qrels) -> dict[str, dict[str, float]]:
    # trec_eval sorts by score and then by id; strictly decreasing scores leave it nothing to decide.
    return {query: _strict_scores(query, hits) for query, hits in ranking if hits and qrels.get(query)}


def _strict_scores(query: str, hits: Sequence[Hit]) -> dict[str, float]:
    scores = {hit.document: float(len(hits) - place) for place, hit in enumerate(hits)}
    if len(scores) != len(hits):
        raise InputError(f"the ranking of query {query!r} names a document twice; each may occur once")
    return scores


def _measure(
    run: dict[str, dict[str, float]], qrels: Qrels, names: Sequence[str]
) -> dict[str, dict[str, float]]:
    import ir_measures

    values = {name: dict.fromkeys(qrels, 0.0) for name in names}
    if not run:
        return values
    parsed: dict[Any, list[str]] = {}
    for name in values:  # `P(rel=1)@5` is `P@5` under another name
        parsed.setdefault(ir_measures.parse_measure(name.replace("(rel=1)", "")), []).append(name)
    judged = {
        query: {d: int(grade) for d, grade in grades.items()} for query, grades in qrels.items() if grades
    }
    for metric in ir_measures.iter_calc(list(parsed), judged, run):
        for name in parsed[metric.measure]:
            values[name][metric.query_id] = float(metric.value)
    return values
