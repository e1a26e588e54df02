"""Index and retriever trained as one: next code, reconstruction, commitment, contrast, usage.

Wang et al., 2026 (arXiv 2603.10409), equations 16 to 20; the same objective with fixed ids is the
decoupled two-stage baseline. It knows a `models.geometric_index` model and a batch; not which
towers, decoder or docid scheme they are made of.
Shapes: B requests, U documents of the batch, m levels, d dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import cos, pi
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from retrograd.errors import InputError
from retrograd.losses.contrastive import in_batch_contrastive
from retrograd.losses.quantisation import commitment, negative_usage_entropy, reconstruction_angle
from retrograd.quantizers.soft_residual import SoftCodes
from retrograd.training.batches import Batch
from retrograd.training.objectives.contrastive import candidates, no_false_negative

DECAYS = ("constant", "linear", "cosine")
TARGETS = ("model", "table")


@dataclass(frozen=True, kw_only=True)
class JointIndexing:
    """The five losses, plainly added up; each weight is 1 as printed."""

    next_code: float = 1.0
    """Weight of the likelihood of the document's codes (equation 16)."""

    reconstruction: float = 1.0
    """Of the angle between document vector and sum of its codes (equation 17)."""

    commitment: float = 1.0
    """Of the distance of residuals and codes (equation 18)."""

    contrastive: float = 1.0
    """Of the in-batch softmax between request and document vectors (equation 19)."""

    diversity: float = 1.0
    """Of the negative entropy of code usage (equation 20)."""

    beta: float = 0.25
    """In `commitment`: how strongly residuals are pulled to codes."""

    contrastive_temperature: float = 0.05
    mask_duplicates: bool = False
    """True: rows of the batch that share a document, or are known to answer the request too, are no
    negatives of each other."""

    temperature: float = 1.0
    """Of the soft codes at the start (equation 6)."""

    temperature_end: float = 0.1
    """At the end; in between it falls exponentially."""

    noise: float = 1.0
    """Factor on the Gumbel noise."""

    noise_decay: str = "constant"
    """`constant`, or `linear` or `cosine` down to 0 at the end."""

    targets: str = "model"
    """Whose codes the decoder learns: the `model`'s quantiser as it is, or the `table`'s, which stay
    (then nothing but the contrast trains the document side)."""

    restart: bool = False
    """Start the codes as clusters of the present document vectors, for stages that follow another."""

    def __post_init__(self) -> None:
        if self.noise_decay not in DECAYS:
            raise ValueError(f"noise_decay={self.noise_decay!r}; choose one of {', '.join(DECAYS)}")
        if self.targets not in TARGETS:
            raise ValueError(f"targets={self.targets!r}; choose one of {', '.join(TARGETS)}")
        if min(self.temperature, self.temperature_end, self.contrastive_temperature) <= 0:
            raise ValueError("temperatures must be positive")

    def begin(self, model: Any, document_vectors: Any, seed: int) -> None:
        """Called once before the first step. `document_vectors()`: (n, d) of the whole corpus."""
        if self.restart:
            model.restart_codes(document_vectors(), seed)

    def schedule(self, progress: float) -> tuple[float, float]:
        """Temperature and noise at a share of the stage.

        >>> JointIndexing().schedule(0.5)
        (0.31..., 1.0)
        """
        temperature = self.temperature * (self.temperature_end / self.temperature) ** progress
        fall = {"constant": 1.0, "linear": 1 - progress, "cosine": (1 + cos(pi * progress)) / 2}
        return temperature, self.noise * fall[self.noise_decay]

    def __call__(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """The named terms, weighted, in nats (or, for distances, squared lengths) per request."""
        if batch.document_inputs is None:
            raise InputError("this objective embeds documents, but the stage was given no document inputs")
        columns = candidates(batch, 0)
        row_of = torch.searchsorted(columns, batch.documents)
        memory = model.encode(batch.inputs)
        documents = model.embed_documents(batch.document_inputs(columns))
        terms = {"contrastive": self._contrast(memory.states[:, 0], documents, batch, columns)}
        if self.targets == "table":
            keys = batch.keys
            assert keys is not None, "a fixed index needs docids"
            prefixes = model.quantizer.lookup(keys).cumsum(dim=1)
            terms["next_code"] = next_code_loss(model.code_scores(memory, prefixes), keys)
        else:
            terms |= self._indexing(model, batch, memory, documents, row_of)
        return {name: getattr(self, name) * term for name, term in terms.items() if getattr(self, name)}

    def _indexing(
        self, model: Any, batch: Batch, memory: Any, documents: Tensor, row_of: Tensor
    ) -> dict[str, Tensor]:
        temperature, noise = self.schedule(batch.progress)
        # a document draws its noise once per batch, however many requests ask for it
        codes = _rows(model.quantise(documents, temperature=temperature, noise=noise), row_of)
        return {
            "next_code": next_code_loss(model.code_scores(memory, codes.prefixes), codes.codes),
            "reconstruction": reconstruction_angle(documents.index_select(0, row_of), codes.reconstruction),
            "commitment": commitment(codes.residuals, codes.assigned, beta=self.beta),
            "diversity": negative_usage_entropy(codes.usage),
        }

    def _contrast(self, queries: Tensor, documents: Tensor, batch: Batch, columns: Tensor) -> Tensor:
        cosines = queries @ documents.T / self.contrastive_temperature
        row_of = torch.searchsorted(columns, batch.documents)
        if self.mask_duplicates:
            return in_batch_contrastive(cosines, row_of, where=no_false_negative(batch, columns))
        everyone = cosines.index_select(1, row_of)
        return in_batch_contrastive(everyone, torch.arange(len(row_of), device=row_of.device))


def next_code_loss(scores: list[Tensor], codes: Tensor) -> Tensor:
    """Mean over requests of the summed negative log-likelihood of their codes (equation 16).

    Args:
        scores: per level (B, K) float.
        codes: (B, m) int64.

    Returns: () in nats per request.

    >>> next_code_loss([torch.zeros(1, 4), torch.zeros(1, 2)], torch.tensor([[3, 0]]))
    tensor(2.0794)
    """
    losses = [F.cross_entropy(level.float(), codes[:, at]) for at, level in enumerate(scores)]
    return torch.stack(losses).sum()


def _rows(codes: SoftCodes, row_of: Tensor) -> SoftCodes:
    """The quantised documents of each request, in the order of the requests."""
    names = ("codes", "prefixes", "reconstruction", "residuals", "assigned")
    return replace(codes, **{name: getattr(codes, name).index_select(0, row_of) for name in names})
