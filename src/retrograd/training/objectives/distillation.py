"""Objective of one space for queries and documents that learns a teacher's lists beside the labels.

It knows what `contrastive` knows of a model, and a batch with `lists`; not who ranked them.
Shapes: B queries, T entries of a list, D documents embedded, d dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from retrograd.errors import InputError
from retrograd.losses.contrastive import in_batch_contrastive
from retrograd.losses.distillation import listwise_distillation
from retrograd.training.batches import Batch
from retrograd.training.objectives.contrastive import candidates, no_false_negative


@dataclass(frozen=True, kw_only=True)
class ListwiseDistillation:
    """The query's scores over its list, spread like the teacher's, and in-batch labels mixed in.

    Hinton et al. 2015, arXiv:1503.02531; as a loss over lists of passages Ren et al. 2021
    ("RocketQAv2", EMNLP, equation 7). Each document of the batch is embedded once, whatever number
    of lists it is in. Examples without a list count for the labels only.
    """

    weight: float = 1.0
    """Of the divergence from the teacher."""

    temperature: float = 1.0
    """The teacher's: its scores are divided by it before the softmax."""

    contrastive: float = 1.0
    """Of `InBatchContrastive`'s loss; its candidates do not include the lists, where unlabelled
    right answers stand. 0 leaves it out."""

    drawn: int = 0
    """As in `InBatchContrastive`."""

    def __post_init__(self) -> None:
        if self.weight < 0 or self.contrastive < 0 or not self.temperature > 0 or self.drawn < 0:
            raise ValueError(
                f"weight={self.weight}, contrastive={self.contrastive} and drawn={self.drawn} must not be "
                f"negative, temperature={self.temperature} must be positive"
            )

    def __call__(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """`{"distillation": weighted nats per list, "contrastive": weighted nats per query}`."""
        if batch.document_inputs is None:
            raise InputError("this objective embeds documents, but the stage was given no document inputs")
        if batch.lists is None or batch.list_scores is None:
            raise InputError("this objective learns a teacher's lists; draw examples from TeacherLists")
        where = batch.lists >= 0
        labels = candidates(batch, self.drawn)
        columns = torch.unique(torch.cat([labels, batch.lists[where]]))
        documents = model.embed_documents(batch.document_inputs(columns))
        scores = model.scale * model.embed_queries(batch.inputs) @ documents.T
        listed = scores.gather(1, torch.searchsorted(columns, batch.lists).clamp(max=len(columns) - 1))
        divergence = listwise_distillation(
            listed, batch.list_scores, temperature=self.temperature, where=where
        )
        terms = {"distillation": self.weight * divergence}
        if self.contrastive:
            loss = in_batch_contrastive(
                scores[:, torch.searchsorted(columns, labels)],
                torch.searchsorted(labels, batch.documents),
                where=no_false_negative(batch, labels),
            )
            terms["contrastive"] = self.contrastive * loss
        return terms
