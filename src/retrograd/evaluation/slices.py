"""Slices: does quality reach the rarely wanted documents, or only the popular head?

Cuts the catalogue by a popularity that the caller counts (best from data the split does not touch:
counts of a train part from which queries were taken out make popular documents look rare).
Slice 1 is the head, the last one the tail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from retrograd.errors import InputError
from retrograd.evaluation.measures import DEFAULT_MEASURES, Scores, evaluate
from retrograd.evaluation.significance import Interval, Resampling, bootstrap_interval, groups_of
from retrograd.types import Qrels, Ranking

EQUAL = ("documents", "popularity")


@dataclass(frozen=True, kw_only=True)
class PopularitySlices:
    """Quintiles (or another number of parts) of a catalogue by popularity."""

    parts: int = 5

    equal: str = "documents"
    """What every slice holds the same amount of: `documents` (the tail then has a fifth of the
    catalogue), or `popularity` (the head is then the few documents that draw the first fifth of it)."""

    zero_apart: bool = False
    """Documents of popularity 0 form one more slice after the last instead of joining the tail."""

    def __post_init__(self) -> None:
        if self.parts < 1:
            raise InputError(f"parts={self.parts} must be at least 1")
        if self.equal not in EQUAL:
            raise InputError(f"equal={self.equal!r}; choose one of {', '.join(EQUAL)}")

    def assign(self, document_ids: Sequence[str], popularity: Mapping[str, float]) -> dict[str, int]:
        """Document id -> slice, from 1 (most popular) on.

        Equal popularity is ordered by id, so borders are sharp and repeatable. Under
        `equal="popularity"` a document joins the slice in which the mass before it ends, and slices
        that one dominant document swallows stay empty.

        Args:
            document_ids: the whole catalogue.
            popularity: counts or weights >= 0; documents it lacks have 0.

        Raises:
            InputError: a popularity that is negative or not finite.

        >>> PopularitySlices(parts=2).assign(["a", "b", "c", "d"], {"c": 9, "a": 1})
        {'c': 1, 'a': 1, 'b': 2, 'd': 2}
        """
        ordered = sorted(document_ids, key=lambda document: (-popularity.get(document, 0.0), document))
        mass = np.array([popularity.get(document, 0.0) for document in ordered], dtype=np.float64)
        if not np.all(np.isfinite(mass) & (mass >= 0)):
            raise InputError("popularity must be finite and at least 0 for every document")
        if self.equal == "popularity" and not mass.any():
            raise InputError("no document has any popularity; slice by equal='documents' instead")
        cut = int(np.count_nonzero(mass)) if self.zero_apart else len(mass)
        weights = mass[:cut] if self.equal == "popularity" else np.ones(cut)
        before = np.cumsum(weights) - weights
        numbers = np.full(len(mass), self.parts + 1)
        numbers[:cut] = 1 + np.minimum(
            self.parts - 1, np.floor(before * self.parts / max(weights.sum(), 1e-300))
        )
        return dict(zip(ordered, numbers.tolist(), strict=True))


@dataclass(frozen=True)
class SliceScores:
    """What the queries with a relevant document in one slice got."""

    slice: int
    num_documents: int
    scores: Scores
    intervals: dict[str, Interval]
    """Measure -> bootstrap interval of its mean over the slice's queries."""


def evaluate_slices(
    ranking: Ranking,
    qrels: Qrels,
    slices: Mapping[str, int],
    measures: Iterable[str] = DEFAULT_MEASURES,
    *,
    groups: Mapping[str, str] | None = None,
    resampling: Resampling | None = None,
) -> tuple[SliceScores, ...]:
    """Measures per slice, head first; slices in which nothing is relevant are left out.

    A query counts in every slice that holds a relevant document of it. Its relevant documents of other
    slices are taken out of judgements and ranking, so finding them neither helps nor harms there.

    Args:
        slices: document id -> slice, from `PopularitySlices.assign`.
        groups: query id -> group, for the cluster bootstrap.

    Raises:
        InputError: a relevant document without a slice, or whatever `evaluate` refuses.
    """
    names = tuple(measures)
    relevant = {query: {d for d, grade in grades.items() if grade > 0} for query, grades in qrels.items()}
    missing = set().union(*relevant.values()) - slices.keys()
    if missing:
        raise InputError(f"document {min(missing)!r} is judged relevant but has no popularity slice")
    found = []
    for number in sorted({slices[document] for documents in relevant.values() for document in documents}):
        elsewhere = {q: {d for d in documents if slices[d] != number} for q, documents in relevant.items()}
        kept = {
            query: {d: grade for d, grade in qrels[query].items() if d not in elsewhere[query]}
            for query, documents in relevant.items()
            if documents - elsewhere[query]
        }
        scores = evaluate(_without(ranking, elsewhere, kept), kept, names)
        intervals = {
            name: bootstrap_interval(
                np.array(list(values.values())),
                groups=groups_of(values, groups),
                resampling=resampling,
            )
            for name, values in scores.per_query.items()
        }
        found.append(SliceScores(number, sum(s == number for s in slices.values()), scores, intervals))
    return tuple(found)


def _without(ranking: Ranking, documents: Mapping[str, set[str]], queries: Iterable[str]) -> Ranking:
    hits = dict(ranking)
    return Ranking(
        tuple(queries),
        tuple(tuple(h for h in hits.get(q, ()) if h.document not in documents[q]) for q in queries),
    )
