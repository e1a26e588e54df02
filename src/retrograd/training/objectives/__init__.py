"""What a stage minimises: configs that are callables `(model, batch) -> named loss terms`."""

from retrograd.training.objectives.contrastive import InBatchContrastive
from retrograd.training.objectives.distillation import ListwiseDistillation
from retrograd.training.objectives.sequence import SequenceConsistency, SequenceLikelihood

__all__ = ["InBatchContrastive", "ListwiseDistillation", "SequenceConsistency", "SequenceLikelihood"]
