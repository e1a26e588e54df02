"""A teacher's lists led through an index: each level learns where the teacher's documents are.

For spaces that stand still: the codes of the documents are those the stage began with. Zeng et al. 2023
(arXiv 2311.09134) distil prefixes one by one; here a level is judged as a whole, so that no local
normalisation hides how good a prefix is. It knows a `models.geometric_index` model and a batch with
lists; not who ranked them.
Shapes: B requests, T entries of a list, m levels, N nodes of a level, K codes of a level.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from retrograd.errors import InputError
from retrograd.models.routing import Nodes
from retrograd.training.batches import Batch


@dataclass(frozen=True, kw_only=True)
class GuidedIndexing:
    """The teacher's mass on the nodes of each level for the router, on the next code for the decoder."""

    routing: float = 1.0
    """Weight of the router's loss: mass over all nodes of a level."""

    next_code: float = 1.0
    """Of the decoder's: mass over the next code of a document drawn from the list by that mass."""

    temperature: float = 1.0
    """The teacher's scores are divided by it before they become mass."""

    restart: bool = True
    """Start the codes as clusters of the document vectors the stage finds."""

    def __post_init__(self) -> None:
        if min(self.routing, self.next_code) < 0 or not self.temperature > 0:
            raise ValueError("weights must not be negative and temperature must be positive")

    def with_fixed_ids(self) -> GuidedIndexing:
        """The same for documents that have their ids already."""
        return replace(self, restart=False)

    def begin(self, model: Any, document_vectors: Any, seed: int) -> None:
        """Called once before the first step. `document_vectors()`: (n, d) of the whole corpus."""
        vectors = document_vectors()
        if self.restart:
            model.restart_codes(vectors, seed)
        model.place_documents(vectors)

    def __call__(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """`{"routing": ..., "next_code": ...}`, weighted nats per request, summed over the levels."""
        if batch.lists is None or batch.list_scores is None:
            raise InputError("this objective follows a teacher's lists; draw examples from TeacherLists")
        assert model.nodes is not None, "the stage has not begun"
        memory = model.encode(batch.inputs)
        scores = batch.list_scores.masked_fill(batch.lists < 0, -torch.inf) / self.temperature
        mass, rows = scores.softmax(dim=-1), batch.lists.clamp(min=0)
        terms = {}
        if self.routing:
            terms["routing"] = self.routing * self._routing(model, memory.states[:, 0], mass, rows)
        if self.next_code:
            terms["next_code"] = self.next_code * self._next_code(model, memory, mass, rows)
        return terms

    def _routing(self, model: Any, queries: Tensor, mass: Tensor, rows: Tensor) -> Tensor:
        nodes: Nodes = model.nodes
        losses = []
        for level, centroids in enumerate(nodes.centroids):
            at = nodes.of_document[:, level][rows]
            target = mass.new_zeros(len(mass), len(centroids)).scatter_add_(1, at, mass)
            losses.append(F.cross_entropy(model.router(queries, level, centroids), target))
        return torch.stack(losses).sum()

    def _next_code(self, model: Any, memory: Any, mass: Tensor, rows: Tensor) -> Tensor:
        """Teacher-forced along one document per request; the target is the mass of all that share its way."""
        codes = model.nodes.codes[rows]
        drawn = torch.multinomial(mass, 1)
        path = codes.gather(1, drawn.unsqueeze(2).expand(-1, 1, codes.shape[2])).squeeze(1)
        prefixes = model.quantizer.lookup(path).cumsum(dim=1)
        along, losses = mass, []
        for level, scores in enumerate(model.code_scores(memory, prefixes)):
            target = torch.zeros_like(scores).scatter_add_(1, codes[:, :, level], along)
            target = target / target.sum(dim=1, keepdim=True)
            losses.append(F.cross_entropy(scores, target))
            along = along * (codes[:, :, level] == path[:, level : level + 1])
        return torch.stack(losses).sum()
