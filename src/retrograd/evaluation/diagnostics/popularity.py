"""Popularity: who is served, the documents everybody wants or also those few ask for?

Cuts the catalogue by a popularity that the caller counted and looks at lists of answers; any ranking
will do. Counts must come from data the judged queries were not cut out of, or the tail is faked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum

from retrograd.evaluation.diagnostics.hubness import gini, occurrences_in
from retrograd.evaluation.significance import Interval, Resampling
from retrograd.evaluation.slices import PopularitySlices, SliceScores, evaluate_slices
from retrograd.types import Qrels, Ranking

QUINTILES = PopularitySlices(parts=5, zero_apart=True)
"""Five equal parts of the documents that anybody took, and those nobody took apart."""


@dataclass(frozen=True)
class SliceFigures:
    """One part of the catalogue."""

    name: str
    """`1` is the head; `none` are the documents of popularity 0."""

    num_documents: int
    least: float
    """Smallest popularity in it."""

    most: float
    num_queries: int
    """Queries with a relevant document in it."""

    hit_rate: Interval
    """Share of those queries with at least one of these documents among the first k."""

    ndcg: Interval


@dataclass(frozen=True)
class PopularityAudit:
    """What a system's lists do with popularity."""

    k: int
    slices: tuple[SliceFigures, ...]
    list_popularity: float
    """Mean popularity of an answer, over all answers of all lists."""

    relevant_popularity: float
    """Mean popularity of a relevant document, over all judged pairs: what the users wanted."""

    catalogue_popularity: float
    """Mean popularity of a document."""

    exposure_gini: float
    """Gini coefficient of how often each document is shown; 0 = all alike."""

    @property
    def lift(self) -> float:
        """Popularity of answers over that of relevant documents; above 1 the system favours the head."""
        return self.list_popularity / self.relevant_popularity if self.relevant_popularity else float("nan")


@dataclass(frozen=True, kw_only=True)
class AuditSettings:
    """What the audit looks at."""

    k: int = 10
    slices: PopularitySlices = field(default_factory=lambda: QUINTILES)
    resampling: Resampling = field(default_factory=Resampling)


def audit_popularity(
    ranking: Ranking,
    qrels: Qrels,
    document_ids: Sequence[str],
    popularity: Mapping[str, float],
    settings: AuditSettings | None = None,
) -> PopularityAudit:
    """HitRate@k and nDCG@k per part of the catalogue, and how popular what is shown is.

    A query counts in every part that holds a relevant document of it, judged by that part's documents
    alone (see `evaluate_slices`).

    Args:
        ranking: best first; queries without judgements do not count.
        popularity: document -> count; documents it lacks have 0.

    Raises:
        InputError: an answer or a relevant document that is not in the catalogue, a negative count, or
            whatever `evaluate` refuses.
    """
    how = settings or AuditSettings()
    shown = judged(ranking, qrels, how.k)
    counts = occurrences_in(shown, document_ids, how.k)
    slices = how.slices.assign(document_ids, popularity)
    measures = (f"Success@{how.k}", f"nDCG@{how.k}")
    parts = evaluate_slices(shown, qrels, slices, measures, resampling=how.resampling)
    members: dict[int, list[float]] = {}
    for document, number in slices.items():
        members.setdefault(number, []).append(popularity.get(document, 0.0))
    answers = (hit.document for _, hits in shown for hit in hits)
    wanted = (document for grades in qrels.values() for document, grade in grades.items() if grade > 0)
    return PopularityAudit(
        k=how.k,
        slices=tuple(_figures(part, members[part.slice], how.slices.parts, measures) for part in parts),
        list_popularity=_mean(popularity.get(document, 0.0) for document in answers),
        relevant_popularity=_mean(popularity.get(document, 0.0) for document in wanted),
        catalogue_popularity=_mean(popularity.get(document, 0.0) for document in document_ids),
        exposure_gini=gini(counts),
    )


def judged(ranking: Ranking, qrels: Qrels, k: int) -> Ranking:
    """The first k answers of the judged queries; a query without answers keeps its empty list.

    >>> judged(Ranking(("a", "b"), ((), ())), {"b": {"d": 1}}, 10).query_ids
    ('b',)
    """
    kept = [(query, hits[:k]) for query, hits in ranking if query in qrels]
    return Ranking(tuple(query for query, _ in kept), tuple(hits for _, hits in kept))


def _figures(
    part: SliceScores, popularity: Sequence[float], parts: int, measures: tuple[str, str]
) -> SliceFigures:
    hit_rate, ndcg = (part.intervals[measure] for measure in measures)
    return SliceFigures(
        name="none" if part.slice > parts else str(part.slice),
        num_documents=part.num_documents,
        least=min(popularity),
        most=max(popularity),
        num_queries=len(part.scores.query_ids),
        hit_rate=hit_rate,
        ndcg=ndcg,
    )


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return fsum(listed) / len(listed) if listed else float("nan")
