"""Index and retriever trained as one: next code, reconstruction, commitment, contrast, usage.

Wang et al., 2026 (arXiv 2603.10409), equations 16 to 20; the same objective with fixed ids is the
decoupled two-stage baseline. It knows a `models.geometric_index` model and a batch; not which
towers, decoder or docid scheme they are made of.
Shapes: B requests, U documents of the batch, m levels, d dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import cos, pi
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from retrograd.errors import InputError
from retrograd.losses.contrastive import in_batch_contrastive, residual_contrastive
from retrograd.losses.popularity import balance_popularity
from retrograd.losses.quantisation import commitment, negative_usage_entropy, reconstruction_angle
from retrograd.models.running_shares import RunningShares
from retrograd.quantizers.soft_residual import SoftCodes
from retrograd.training.batches import Batch
from retrograd.training.objectives.contrastive import candidates, no_false_negative

CHOICES = {
    "noise_decay": ("constant", "linear", "cosine"),
    "targets": ("model", "table"),
    "contrast": ("vector", "parts"),
    "usage": ("batch", "running"),
}


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
    """0 divides by none but takes the space's own learnt `scale` as factor."""

    contrast: str = "vector"
    """What of a document is set against the request: its `vector`, or the running sums of the quantiser's
    `parts`, where each part is taught what those before it lack (`losses.contrastive`)."""

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

    popularity: float = 0.0
    """How strongly the codes' popularity among the targets is balanced in `next_code`
    (`losses.popularity`); 1 for scores that know nothing of it. Needs the model's `usage_decay`."""

    usage: str = "batch"
    """The shares whose entropy `diversity` is: of the `batch`, or `running` ones, whose gradient goes
    through the batch undiminished. Those need the model's `usage_decay`."""

    restart: bool = False
    """Start the codes as clusters of the present document vectors, for stages that follow another."""

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}={getattr(self, name)!r}; choose one of {', '.join(choices)}")
        if min(self.temperature, self.temperature_end) <= 0 or self.contrastive_temperature < 0:
            raise ValueError("temperatures must be positive")
        if self.targets == "table" and (self.contrast, self.usage) != ("vector", "batch"):
            raise ValueError("a fixed index has no parts and no usage to learn from; see targets")

    def with_fixed_ids(self) -> JointIndexing:
        """The same for documents that have their ids already, in a space that stays."""
        return replace(
            self, targets="table", restart=False, contrast="vector", contrastive=0.0, usage="batch"
        )

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
        terms = {}
        if self.contrast == "vector":
            terms["contrastive"] = self._contrast(model, memory.states[:, 0], documents, batch, columns)
        if self.targets == "table":
            keys = batch.keys
            assert keys is not None, "a fixed index needs docids"
            prefixes = model.quantizer.lookup(keys).cumsum(dim=1)
            terms["next_code"] = self._next_code(model, memory, prefixes, keys)
        else:
            found = self._quantise(model, batch, documents)
            if self.contrast == "parts":
                terms["contrastive"] = self._contrast(model, memory.states[:, 0], found.parts, batch, columns)
            terms |= self._indexing(model, memory, documents, found, row_of)
        return {name: getattr(self, name) * term for name, term in terms.items() if getattr(self, name)}

    def _quantise(self, model: Any, batch: Batch, documents: Tensor) -> SoftCodes:
        """A document draws its noise once per batch, however many requests ask for it."""
        temperature, noise = self.schedule(batch.progress)
        found: SoftCodes = model.quantise(documents, temperature=temperature, noise=noise)
        return found

    def _indexing(
        self, model: Any, memory: Any, documents: Tensor, found: SoftCodes, row_of: Tensor
    ) -> dict[str, Tensor]:
        codes = _rows(found, row_of)
        return {
            "next_code": self._next_code(model, memory, codes.prefixes, codes.codes),
            "reconstruction": reconstruction_angle(documents.index_select(0, row_of), codes.reconstruction),
            "commitment": commitment(codes.residuals, codes.assigned, beta=self.beta),
            "diversity": negative_usage_entropy(self._usage(model, codes.usage)),
        }

    def _next_code(self, model: Any, memory: Any, prefixes: Tensor, codes: Tensor) -> Tensor:
        scores = model.code_scores(memory, prefixes)
        if self.popularity:
            wanted = _running(model, "wanted")(code_shares(codes, model.level_sizes))
            scores = [
                balance_popularity(level, shares, strength=self.popularity)
                for level, shares in zip(scores, wanted, strict=True)
            ]
        return next_code_loss(scores, codes)

    def _usage(self, model: Any, usage: Sequence[Tensor]) -> Sequence[Tensor]:
        if self.usage == "batch":
            return usage
        running = _running(model, "used")(usage)
        return [mean + now - now.detach() for mean, now in zip(running, usage, strict=True)]

    def _contrast(
        self, model: Any, queries: Tensor, documents: Tensor, batch: Batch, columns: Tensor
    ) -> Tensor:
        """`documents`: (U, d) vectors, or (U, m, d) parts of them."""
        row_of = torch.searchsorted(columns, batch.documents)
        where = no_false_negative(batch, columns) if self.mask_duplicates else None
        positives = row_of if self.mask_duplicates else torch.arange(len(row_of), device=row_of.device)
        if documents.ndim == 3:
            everyone = documents if self.mask_duplicates else documents.index_select(0, row_of)
            scale = 1 / self.contrastive_temperature if self.contrastive_temperature else model.scale
            return residual_contrastive(queries, everyone, positives, scale=scale, where=where)
        cosines = queries @ documents.T
        learnt = not self.contrastive_temperature
        cosines = cosines * model.scale if learnt else cosines / self.contrastive_temperature
        everyone = cosines if self.mask_duplicates else cosines.index_select(1, row_of)
        return in_batch_contrastive(everyone, positives, where=where)


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


def code_shares(codes: Tensor, level_sizes: Sequence[int]) -> list[Tensor]:
    """(n, m) codes to the share of each code of each level: (K,) float.

    >>> code_shares(torch.tensor([[0], [1], [1], [1]]), (2,))
    [tensor([0.2500, 0.7500])]
    """
    return [
        F.one_hot(codes[:, at], size).to(torch.get_default_dtype()).mean(dim=0)
        for at, size in enumerate(level_sizes)
    ]


def _running(model: Any, name: str) -> RunningShares:
    shares: RunningShares | None = getattr(model, name, None)
    if shares is None:
        raise InputError(
            "popularity and running usage need the shares a model keeps of its codes; "
            "give it a usage_decay, such as 0.99"
        )
    return shares


def _rows(codes: SoftCodes, row_of: Tensor) -> SoftCodes:
    """The quantised documents of each request, in the order of the requests."""
    names = ("codes", "prefixes", "reconstruction", "residuals", "assigned")
    return replace(codes, **{name: getattr(codes, name).index_select(0, row_of) for name in names})
