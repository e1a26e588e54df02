"""Report: every diagnostic a subject allows, as one value that can be printed, drawn and stored.

Decides which figure is taken from what; the figures themselves are in their own modules, how they look
in `tables` and `plots`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import numpy as np

from retrograd.errors import InputError
from retrograd.evaluation.diagnostics.agreement import Agreement, train_inference_agreement
from retrograd.evaluation.diagnostics.alarms import alarms_of
from retrograd.evaluation.diagnostics.codes import (
    Capacity,
    CodeHealth,
    VectorSpace,
    code_capacity,
    code_health,
)
from retrograd.evaluation.diagnostics.gradients import GradientSummary, gradient_summary
from retrograd.evaluation.diagnostics.hubness import (
    Hubness,
    hubness,
    nearest_rows,
    occurrences_in,
    occurrences_of_rows,
)
from retrograd.evaluation.diagnostics.isotropy import Isotropy, alignment, isotropy, unit_rows
from retrograd.evaluation.diagnostics.norms import NormFrequency, norm_against_frequency
from retrograd.evaluation.diagnostics.popularity import (
    AuditSettings,
    PopularityAudit,
    audit_popularity,
    judged,
)
from retrograd.evaluation.diagnostics.subject import Subject, restricted
from retrograd.evaluation.significance import Resampling
from retrograd.evaluation.training_log import read_training_log
from retrograd.types import Qrels, Ranking

TEMPERATURES = (1.0, 0.1)
"""Where the usual temperature schedule of soft codes starts and ends."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a diagnosis looks."""

    k: int = 10
    """Length of the lists."""

    seed: int = 0
    measure: str = "nDCG@10"
    """Of code capacity."""

    draws: int = 10_000
    """Bootstrap samples."""

    @property
    def resampling(self) -> Resampling:
        """For every interval."""
        return Resampling(draws=self.draws, seed=self.seed)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Another system's lists of the same queries, to read the figures against."""

    name: str
    ranking: Ranking


@dataclass(frozen=True, kw_only=True)
class Audience:
    """Who asks for what: the judgements and, if anybody counted, how popular documents are."""

    document_ids: Sequence[str]
    qrels: Qrels
    popularity: Mapping[str, float] | None = None
    popularity_from: str = ""
    """Where the counts come from, or why there are none."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All figures of one subject; what it has none of is empty or None, and `left_out` says why."""

    name: str
    num_documents: int
    num_queries: int
    k: int
    hubness: dict[str, Hubness]
    """By what was counted: `lists`, a reference's lists, `vectors`, `codes of level 1`."""

    isotropy: dict[str, Isotropy] = field(default_factory=dict)
    """Of `documents` and `queries`."""

    alignment: float | None = None
    """Of judged pairs."""

    codes: CodeHealth | None = None
    norms: tuple[NormFrequency, ...] = ()
    capacity: Capacity | None = None
    agreement: dict[str, Agreement] = field(default_factory=dict)
    """By temperature of the softmax, with full noise."""

    gradients: tuple[GradientSummary, ...] = ()
    popularity: dict[str, PopularityAudit] = field(default_factory=dict)
    """By system; the subject first."""

    popularity_from: str = ""
    left_out: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    """What is wrong, in words; empty when nothing is."""

    def to_json(self) -> dict[str, Any]:
        """Every figure as plain JSON values; NaN becomes null, arrays behind the plots are left out."""
        plain: dict[str, Any] = plain_values(self)
        return plain


def diagnose(
    subject: Subject,
    audience: Audience,
    *,
    reference: Reference | None = None,
    settings: Settings | None = None,
) -> Diagnosis:
    """Take every figure the subject allows.

    Raises:
        InputError: an answer that is no document, or no query in common with the judgements.
    """
    how = settings or Settings()
    if audience.qrels.keys().isdisjoint(subject.ranking.query_ids):
        raise InputError(
            f"not one query of {subject.name} (such as {subject.ranking.query_ids[:1]}) is judged; are these "
            "judgements of the same data and split?"
        )
    lists = {subject.name: subject.ranking} | ({reference.name: reference.ranking} if reference else {})
    left_out = list(subject.lacks)
    audits = _audits(lists, audience, how, left_out)
    shown = {"lists": subject.ranking} | ({f"{reference.name} lists": reference.ranking} if reference else {})
    hubs = {what: _hubness_of_lists(ranking, audience, how) for what, ranking in shown.items()}
    partial = Diagnosis(
        name=subject.name,
        num_documents=len(audience.document_ids),
        num_queries=len(audience.qrels),
        k=how.k,
        hubness=hubs | _hubness_of_vectors(subject, how.k),
        isotropy=_isotropy(subject.space, how.seed),
        alignment=_alignment(subject.space, audience.qrels),
        codes=_health(subject),
        norms=_norms(subject, audience),
        capacity=_capacity(subject, audience.qrels, how, left_out),
        agreement=_agreement(subject, how.seed),
        gradients=_gradients(subject, left_out),
        popularity=audits,
        popularity_from=audience.popularity_from,
        left_out=tuple(left_out),
    )
    return replace(partial, alarms=alarms_of(partial))


def _audits(
    lists: Mapping[str, Ranking], audience: Audience, how: Settings, left_out: list[str]
) -> dict[str, PopularityAudit]:
    if audience.popularity is None:
        left_out.append(f"popularity: {audience.popularity_from or 'nobody counted it'}")
        return {}
    settings = AuditSettings(k=how.k, resampling=how.resampling)
    return {
        name: audit_popularity(ranking, audience.qrels, audience.document_ids, audience.popularity, settings)
        for name, ranking in lists.items()
    }


def _hubness_of_lists(ranking: Ranking, audience: Audience, how: Settings) -> Hubness:
    shown = judged(ranking, audience.qrels, how.k)
    counts = occurrences_in(shown, audience.document_ids, how.k)
    return hubness(counts, k=how.k, num_lists=len(audience.qrels))


def _hubness_of_vectors(subject: Subject, k: int) -> dict[str, Hubness]:
    """Of exact search by cosine, and of the first codebook under the same queries."""
    found = {}
    if subject.space is not None:
        found["vectors"] = _nearest(subject.space.queries, subject.space.documents, k)
    if subject.code_space is not None and subject.codes is not None:
        queries, book = subject.code_space.queries, subject.codes.codebooks[0]
        if book.shape[1] == queries.shape[1]:  # codes of a piece of the vector cannot be compared
            found["codes of level 1"] = _nearest(queries, book, 1)  # a decoder takes one code first
    return found


def _nearest(queries: np.ndarray, points: np.ndarray, k: int) -> Hubness:
    rows = nearest_rows(unit_rows(queries), unit_rows(points), k)
    return hubness(occurrences_of_rows(rows, len(points)), k=k, num_lists=len(queries))


def _isotropy(space: VectorSpace | None, seed: int) -> dict[str, Isotropy]:
    if space is None:
        return {}
    sets = {"documents": space.documents, "queries": space.queries}
    return {what: isotropy(points, seed=seed) for what, points in sets.items() if _has_spread(points)}


def _has_spread(points: np.ndarray) -> bool:
    """Enough to speak of directions: two rows, none of them zero (an empty text may be)."""
    return len(points) > 1 and bool(points.any(axis=1).all())


def _alignment(space: VectorSpace | None, qrels: Qrels) -> float | None:
    if space is None:
        return None
    row_of = {document: row for row, document in enumerate(space.document_ids)}
    pairs = [
        (at, row_of[document])
        for at, query in enumerate(space.query_ids)
        for document, grade in qrels.get(query, {}).items()
        if grade > 0
    ]
    if not pairs:
        return None
    queries, documents = np.array(pairs).T
    return alignment(space.queries[queries], space.documents[documents])


def _health(subject: Subject) -> CodeHealth | None:
    if subject.table is None:
        return None
    levels = len(subject.codes.codebooks) if subject.codes is not None else 0
    return code_health(subject.table, code_levels=levels)


def _norms(subject: Subject, audience: Audience) -> tuple[NormFrequency, ...]:
    codes = subject.codes_by_document()
    if codes is None or subject.codes is None:
        return ()
    taken = audience.popularity or {}
    # training sees each document itself, and again for everybody who took it
    weights = np.array([1.0 + taken.get(document, 0.0) for document in audience.document_ids])
    return norm_against_frequency(subject.codes.codebooks, codes, weights)


def _capacity(subject: Subject, qrels: Qrels, how: Settings, left_out: list[str]) -> Capacity | None:
    codes, space = subject.codes_by_document(), subject.code_space
    if codes is None or subject.codes is None or space is None:
        return None
    if codes.min() < 0:
        left_out.append("code capacity: some document has no whole id")
        return None
    stand_ins = subject.codes.reconstruct(codes)
    return code_capacity(
        space,
        stand_ins,
        restricted(qrels, space.query_ids),
        measure=how.measure,
        resampling=how.resampling,
    )


def _agreement(subject: Subject, seed: int) -> dict[str, Agreement]:
    if subject.relaxation is None or subject.codes is None or subject.space is None:
        return {}
    return {
        f"temperature {temperature:g}": train_inference_agreement(
            subject.space.documents,
            subject.codes.codebooks,
            replace(subject.relaxation, temperature=temperature),
            seed=seed,
        )
        for temperature in TEMPERATURES
    }


def _gradients(subject: Subject, left_out: list[str]) -> tuple[GradientSummary, ...]:
    if subject.metrics is None:
        return ()
    found = gradient_summary(read_training_log(subject.metrics))
    if not found:
        left_out.append("gradients: the training log holds no gradient norm")
    return found


def plain_values(value: Any) -> Any:
    """Dataclasses, tuples and mappings as JSON values; NaN is null, fields without a repr are left out."""
    if is_dataclass(value):
        named = ((f.name, getattr(value, f.name)) for f in fields(value) if f.repr)
        return {name: plain_values(item) for name, item in named}
    if isinstance(value, Mapping):
        return {str(name): plain_values(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain_values(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
