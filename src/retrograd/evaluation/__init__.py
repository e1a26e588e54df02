"""Evaluation: how good, how sure, for whom, at what cost, and beside what.

Sees rankings, judgements and searchers from outside; imports no model and no tensor library.
"""

from retrograd.evaluation.compare import Cell, Comparison, compare
from retrograd.evaluation.cost import Cost, PeakMemory, Timing, bytes_per_document, measure_cost
from retrograd.evaluation.measures import DEFAULT_MEASURES, Scores, average_seeds, check_measure, evaluate
from retrograd.evaluation.significance import (
    Interval,
    Resampling,
    bootstrap_interval,
    groups_of,
    holm,
    paired_differences,
    randomisation_test,
)
from retrograd.evaluation.slices import PopularitySlices, SliceScores, evaluate_slices
from retrograd.evaluation.ties import TIE_RULES, with_ties

__all__ = [
    "DEFAULT_MEASURES",
    "TIE_RULES",
    "Cell",
    "Comparison",
    "Cost",
    "Interval",
    "PeakMemory",
    "PopularitySlices",
    "Resampling",
    "Scores",
    "SliceScores",
    "Timing",
    "average_seeds",
    "bootstrap_interval",
    "bytes_per_document",
    "check_measure",
    "compare",
    "evaluate",
    "evaluate_slices",
    "groups_of",
    "holm",
    "measure_cost",
    "paired_differences",
    "randomisation_test",
    "with_ties",
]
