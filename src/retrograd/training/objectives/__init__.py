"""What a stage minimises: configs that are callables `(model, batch) -> named loss terms`."""

from retrograd.training.objectives.contrastive import InBatchContrastive
from retrograd.training.objectives.distillation import ListwiseDistillation
from retrograd.training.objectives.guidance import GuidedIndexing
from retrograd.training.objectives.id_tree import IdTreeLikelihood
from retrograd.training.objectives.indexing import JointIndexing
from retrograd.training.objectives.next_item import (
    NextCodeLikelihood,
    NextCodesAndVector,
    NextItemLikelihood,
    SampledNextItem,
)
from retrograd.training.objectives.parallel_codes import ParallelCodeLikelihood
from retrograd.training.objectives.sequence import SequenceConsistency, SequenceLikelihood

CONFIGS = (
    InBatchContrastive,
    ListwiseDistillation,
    GuidedIndexing,
    JointIndexing,
    NextCodeLikelihood,
    NextCodesAndVector,
    NextItemLikelihood,
    ParallelCodeLikelihood,
    SampledNextItem,
    SequenceConsistency,
    SequenceLikelihood,
)
"""What the stages of a saved recipe may name."""

__all__ = [
    "CONFIGS",
    "GuidedIndexing",
    "IdTreeLikelihood",
    "InBatchContrastive",
    "JointIndexing",
    "ListwiseDistillation",
    "NextCodeLikelihood",
    "NextCodesAndVector",
    "NextItemLikelihood",
    "ParallelCodeLikelihood",
    "SampledNextItem",
    "SequenceConsistency",
    "SequenceLikelihood",
]
