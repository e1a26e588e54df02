"""Alarms: which figures of a diagnosis are bad enough to be said in words.

Thresholds only; no figure is computed. They mark what no healthy system here has shown, not what is
merely not ideal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from retrograd.evaluation.diagnostics.tables import figure

if TYPE_CHECKING:
    from retrograd.evaluation.diagnostics.report import Diagnosis

HUB = 0.5
"""One document in more than this share of the lists."""

FEWEST_LISTS = 20
"""Fewer lists say nothing about hubs."""

CONE = 0.5
"""Mean cosine of documents above this: they crowd into a cone."""

LONG_AND_FREQUENT = 0.5
"""Rank correlation of code length and frequency above this."""

KEPT = 0.7
"""Less than this share of the measure is left when ids stand in for the vectors."""

SAME_CODE = 0.5
"""The index gives fewer documents than this the code that training gave them."""

LIFT = 2.0
"""Answers this many times as popular as what was wanted."""

SPIKY = 20.0
"""Largest gradient norm over the median one."""


def alarms_of(diagnosis: Diagnosis) -> tuple[str, ...]:
    """One sentence each, ids first; () where nothing is wrong."""
    return tuple(
        line for part in (_of_codes, _of_vectors, _of_lists, _of_training) for line in part(diagnosis)
    )


def _of_codes(diagnosis: Diagnosis) -> Iterator[str]:
    if diagnosis.codes is not None:
        yield from diagnosis.codes.alarms()
    for level in diagnosis.norms:
        if level.spearman > LONG_AND_FREQUENT:
            yield (
                f"level {level.level}: the frequent codes are the long ones (rank correlation "
                f"{level.spearman:.2f}); a dot product would favour them"
            )
    capacity = diagnosis.capacity
    if capacity is not None and capacity.by_codes.mean < KEPT * capacity.by_vectors.mean:
        yield (
            f"the ids keep {capacity.by_codes.mean:.3f} of the {capacity.by_vectors.mean:.3f} "
            f"{capacity.measure} their vectors have; make them longer or rank again by the vectors"
        )
    for when, agreement in diagnosis.agreement.items():
        worst = min(agreement.levels, key=lambda level: level.soft_is_hard)
        if worst.soft_is_hard < SAME_CODE:
            yield (
                f"{when}: at level {worst.level} the index gives only {worst.soft_is_hard:.0%} of the "
                "documents the code that training gives them"
            )


def _of_vectors(diagnosis: Diagnosis) -> Iterator[str]:
    for what, figures in diagnosis.isotropy.items():
        if what == "documents" and figures.mean_cosine > CONE:
            yield (
                f"the vectors of {what} crowd into a cone (mean cosine {figures.mean_cosine:.2f}); "
                "centre them before quantising"
            )


def _of_lists(diagnosis: Diagnosis) -> Iterator[str]:
    lists = diagnosis.hubness["lists"]
    if lists.num_lists >= FEWEST_LISTS and lists.largest > HUB * lists.num_lists:
        yield f"one document stands in {lists.largest} of {lists.num_lists} lists"
    audit = diagnosis.popularity.get(diagnosis.name)
    if audit is not None and audit.lift > LIFT:
        yield f"answers are {audit.lift:.1f} times as popular as what was wanted: the head is favoured"


def _of_training(diagnosis: Diagnosis) -> Iterator[str]:
    for stage in diagnosis.gradients:
        if stage.largest > SPIKY * stage.median > 0:
            yield (
                f"stage {stage.stage}: a gradient norm of {figure(stage.largest)} at step "
                f"{stage.largest_step:.0f}, {stage.largest / stage.median:.0f} times the median"
            )
