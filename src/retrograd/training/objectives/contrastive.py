"""Objective of models that place queries and documents in one space.

It knows a model's `embed_queries`, `embed_documents` and `scale`, and a batch that can make the
inputs of any document; not which encoder either uses.
Shapes: B queries, D documents of the batch, R relevant rows per query, d dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from retrograd.errors import InputError
from retrograd.losses.contrastive import in_batch_contrastive
from retrograd.training.batches import Batch


@dataclass(frozen=True, kw_only=True)
class InBatchContrastive:
    """Each query against all documents of the batch (Karpukhin et al. 2020, section 3.2).

    Candidates are the positives of the batch, every row of `batch.negatives` and documents drawn
    from the whole corpus, each document once, so a document that several queries share is never its
    own negative. Rows in `batch.relevant` are no negatives of their query either.
    """

    drawn: int = 0
    """Documents drawn at random from the corpus as further candidates, all of it where it has fewer.
    Cheap where document vectors are frozen; with all of them the softmax is exact."""

    def __post_init__(self) -> None:
        if self.drawn < 0:
            raise ValueError(f"drawn={self.drawn} must not be negative")

    def __call__(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """`{"contrastive": nats per query}`."""
        if batch.document_inputs is None:
            raise InputError("this objective embeds documents, but the stage was given no document inputs")
        columns = candidates(batch, self.drawn)
        queries = model.embed_queries(batch.inputs)
        documents = model.embed_documents(batch.document_inputs(columns))
        scores = model.scale * queries @ documents.T
        positives = torch.searchsorted(columns, batch.documents)
        return {
            "contrastive": in_batch_contrastive(scores, positives, where=no_false_negative(batch, columns))
        }


def candidates(batch: Batch, drawn: int) -> Tensor:
    """(D,) sorted unique document rows."""
    rows = batch.documents
    if drawn:
        everyone = torch.randperm(batch.num_documents, device=rows.device)
        rows = torch.cat([rows, everyone[:drawn]])
    if batch.negatives is not None:
        rows = torch.cat([rows, batch.negatives[batch.negatives >= 0]])
    columns: Tensor = torch.unique(rows)
    return columns


def no_false_negative(batch: Batch, columns: Tensor) -> Tensor | None:
    """(B, D) False where a candidate was judged relevant for the query."""
    if batch.relevant is None:
        return None
    at = torch.searchsorted(columns, batch.relevant).clamp(max=len(columns) - 1)
    present = columns[at] == batch.relevant
    hits = torch.zeros(len(batch.documents), len(columns), dtype=torch.int64, device=columns.device)
    return hits.scatter_add_(1, at, present.long()) == 0
