"""Residual codes that gradients pass through: the loss of a retriever reaches the vectors it indexes.

Wang et al., "Differentiable Geometric Indexing for End-to-End Generative Retrieval", 2026
(arXiv 2603.10409), equations 6 to 8, with the straight-through and detached paths it is compared to.
Knows vectors and codebooks; neither texts, decoders nor losses.
Shapes: n vectors, d dimensions, m levels, K codes of a level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import log
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrograd.ops.gumbel import gumbel_noise
from retrograd.quantizers.codebooks import check_width
from retrograd.quantizers.kmeans import kmeans
from retrograd.quantizers.residual import ResidualQuantizer

GRADIENTS = ("gumbel", "ste", "detached")
RESIDUALS = ("soft", "hard")
CODE_VECTORS = ("raw", "unit")
LABELS = ("clean", "noisy")
SCALES = ("learned", "per_level", "fixed", "none", "inverse_sqrt")
CLUSTERS = ("cosine", "euclidean")
MAX_SCALE = 100.0
"""Cap of a learned factor on a cosine."""

SHORTEST = 1e-2
"""A vector below this length (what a code that holds one document leaves of it) has no direction worth
the name: its scores fade with its length, where dividing by that length would blow up the gradient."""


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r}; choose one of {', '.join(choices)}")


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How a vector is compared with code vectors: `scale * cos`, or a dot product."""

    cosine: bool = True
    """Both sides are normalised for scoring (equations 10 and 13); False: the plain dot product."""

    scale: str = "learned"
    """`learned` (one, exp-parametrised, at most 100), `per_level`, `fixed`, `none` (1) or
    `inverse_sqrt` (d ** -0.5)."""

    initial_scale: float = 30.0
    """Where a learned scale starts, and what a fixed one is."""

    def __post_init__(self) -> None:
        _one_of("scale", self.scale, SCALES)
        if not 0 < self.initial_scale <= MAX_SCALE:
            raise ValueError(f"initial_scale={self.initial_scale} must be in (0, {MAX_SCALE:g}]")


@dataclass(frozen=True, kw_only=True)
class SoftResidual:
    """The choices of a differentiable residual quantiser."""

    gradient: str = "gumbel"
    """`gumbel`: soft codes, gradients through the softmax; `ste`: hard codes whose Jacobian is the
    identity; `detached`: soft codes through which no gradient of the decoder passes."""

    scoring: Scoring = field(default_factory=Scoring)
    code_vectors: str = "raw"
    """What is summed and subtracted: codes as they are (`raw`) or normalised (`unit`)."""

    train_residual: str = "soft"
    """What a level leaves to the next in training: less the `soft` code (equation 7) or the `hard` one."""

    index_residual: str = "hard"
    """The same when documents get their ids."""

    labels: str = "clean"
    """Target ids are the argmax of the scores as they are (`clean`) or with the noise (`noisy`)."""

    centre: float = 0.0
    """Decay of a running mean of the vectors, which the first level takes from vectors and codes before
    it compares them: what all documents share says nothing about any of them. 0 takes nothing."""

    clusters: str = "cosine"
    """How codes that start again are clustered: by `cosine`, as they are scored, or `euclidean`."""

    def __post_init__(self) -> None:
        _one_of("gradient", self.gradient, GRADIENTS)
        _one_of("code_vectors", self.code_vectors, CODE_VECTORS)
        _one_of("train_residual", self.train_residual, RESIDUALS)
        _one_of("index_residual", self.index_residual, RESIDUALS)
        _one_of("labels", self.labels, LABELS)
        _one_of("clusters", self.clusters, CLUSTERS)
        if not 0 <= self.centre < 1:
            raise ValueError(f"centre={self.centre} must be in [0, 1)")

    def build(self, codebooks: Sequence[np.ndarray]) -> SoftResidualQuantizer:
        """The module, its codes started at `codebooks`, (K, d) each."""
        return SoftResidualQuantizer(self, codebooks)


class CodeScores(nn.Module):
    """`Scoring` with its learnt scale."""

    def __init__(self, config: Scoring, levels: int, dimensions: int) -> None:
        super().__init__()
        self.config, self._root = config, dimensions**-0.5
        start = torch.full((levels if config.scale == "per_level" else 1,), log(config.initial_scale))
        if config.scale in ("learned", "per_level"):
            self.log_scale = nn.Parameter(start)
        else:
            self.register_buffer("log_scale", start, persistent=False)

    def scale(self, level: int) -> Tensor:
        """() factor of a level, in (0, 100]."""
        if self.config.scale in ("none", "inverse_sqrt"):
            return self.log_scale.new_tensor(1.0 if self.config.scale == "none" else self._root)
        at = level if self.config.scale == "per_level" else 0
        return self.log_scale[at].clamp(max=log(MAX_SCALE)).exp()

    def forward(self, vectors: Tensor, codebook: Tensor, level: int) -> Tensor:
        """(..., d) vectors against (K, d) codes: (..., K) scores."""
        if self.config.cosine:
            vectors = F.normalize(vectors, dim=-1, eps=SHORTEST)
            codebook = F.normalize(codebook, dim=-1)
        return self.scale(level) * F.linear(vectors, codebook)


@dataclass(frozen=True)
class SoftCodes:
    """What quantising n vectors gave."""

    codes: Tensor
    """(n, m) int64: the targets of the decoder."""

    prefixes: Tensor
    """(n, m, d): sum of the code vectors up to each level, as the decoder is fed them."""

    reconstruction: Tensor
    """(n, d): the sum over all levels, with the gradient to codes and vectors whatever the decoder's."""

    parts: Tensor
    """(n, m, d): what each level adds to the vectors, before it is rounded to a code of its own where it
    is rounded at all."""

    residuals: Tensor
    """(n, m, d): what each level was given."""

    assigned: Tensor
    """(n, m, d): the code vector of the target at each level."""

    usage: tuple[Tensor, ...]
    """Per level (K,): mean probability of each code."""


class _Level(NamedTuple):
    """One level's codes (n,), soft and chosen code vectors (n, d), and mean probabilities (K,)."""

    code: Tensor
    soft: Tensor
    hard: Tensor
    usage: Tensor


class SoftResidualQuantizer(nn.Module):
    """m codebooks and the scale their codes are scored with.

    Args:
        codebooks: (K, d) starting codes of each level.
    """

    centre: Tensor

    def __init__(self, config: SoftResidual, codebooks: Sequence[np.ndarray]) -> None:
        super().__init__()
        self.config = config
        self.codebooks = nn.ParameterList(
            nn.Parameter(torch.tensor(np.asarray(book, np.float32))) for book in codebooks
        )
        self.scores = CodeScores(config.scoring, len(codebooks), self.codebooks[0].shape[1])
        if config.centre:
            self.register_buffer("centre", self.codebooks[0].detach().mean(dim=0))

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """K of each level."""
        return tuple(len(book) for book in self.codebooks)

    @property
    def softens(self) -> bool:
        """Training mixes the codes by a softmax of their plain scores."""
        return self.config.gradient != "ste" and not self.config.centre

    def clusters(self, vectors: np.ndarray, seed: int) -> tuple[np.ndarray, ...]:
        """Codes that (n, d) vectors suggest: per level (K', d), K' at most K."""
        return starting_codebooks(vectors, self.level_sizes, seed=seed, clusters=self.config.clusters)

    @torch.no_grad()
    def restart(self, codebooks: Sequence[np.ndarray]) -> None:
        """Put other codes of the same shapes in their place."""
        for book, start in zip(self.codebooks, codebooks, strict=True):
            book.copy_(torch.as_tensor(start))
        if self.config.centre:
            self.centre.copy_(self.codebooks[0].mean(dim=0))

    def codebook(self, level: int) -> Tensor:
        """(K, d): the codes of a level as they are learnt."""
        codes: Tensor = self.codebooks[level]
        return codes

    def vectors(self, level: int) -> Tensor:
        """(K, d): the code vectors of a level as they are summed."""
        book = self.codebooks[level]
        return F.normalize(book, dim=-1) if self.config.code_vectors == "unit" else book

    def forward(self, vectors: Tensor, *, temperature: float = 1.0, noise: float = 1.0) -> SoftCodes:
        """Quantise (n, d) vectors, differentiably.

        Args:
            temperature: of the softmax, above 0 (equation 6).
            noise: factor on the Gumbel noise, at least 0; only `gumbel` and `detached` draw any.
        """
        if self.config.centre and self.training:
            self._follow(vectors)
        residual, total = vectors, torch.zeros_like(vectors)
        steps = []
        for level in range(len(self.codebooks)):
            step = self._level(residual, level, temperature, noise)
            steps.append((residual, *step))
            residual = residual - (step.hard.detach() if self._hard_residual else step.soft)
            total = total + step.soft
        residuals, codes, soft, hard, usage = zip(*steps, strict=True)
        parts = torch.stack(soft, dim=1)
        return SoftCodes(
            codes=torch.stack(codes, dim=1),
            prefixes=self._prefixes(vectors, parts),
            reconstruction=total,
            parts=parts,
            residuals=torch.stack(residuals, dim=1),
            assigned=torch.stack(hard, dim=1),
            usage=usage,
        )

    @property
    def _hard_residual(self) -> bool:
        return self.config.gradient == "ste" or self.config.train_residual == "hard"

    @torch.no_grad()
    def _follow(self, vectors: Tensor) -> None:
        mean = vectors.mean(dim=0)
        step = (mean - self.centre) * (1 - self.config.centre)
        self.centre.add_(torch.where(torch.isfinite(step).all(), step, 0.0))

    def _scores(self, residual: Tensor, level: int) -> Tensor:
        book = self.codebooks[level]
        if level == 0 and self.config.centre:
            residual, book = residual - self.centre, book - self.centre
        scores: Tensor = self.scores(residual, book, level)
        return scores

    def _level(self, residual: Tensor, level: int, temperature: float, noise: float) -> _Level:
        scores, vectors = self._scores(residual, level), self.vectors(level)
        if self.config.gradient == "ste":
            code = scores.argmax(dim=-1)
            hard = F.embedding(code, vectors)
            return _Level(code, hard, hard, (scores / temperature).softmax(dim=-1).mean(dim=0))
        noisy = scores + noise * gumbel_noise(scores) if noise else scores
        p = (noisy / temperature).softmax(dim=-1)
        code = (scores if self.config.labels == "clean" else noisy).argmax(dim=-1)
        return _Level(code, p @ vectors, F.embedding(code, vectors), p.mean(dim=0))

    def _prefixes(self, vectors: Tensor, soft: Tensor) -> Tensor:
        """(n, m, d) sums that the decoder reads, with the gradient path the config names."""
        sums = soft.cumsum(dim=1)
        if self.config.gradient == "gumbel":
            return sums
        if self.config.gradient == "detached":
            return sums.detach()
        start = vectors.unsqueeze(1)
        return start + (sums - start).detach()

    @torch.no_grad()
    def assign(self, vectors: Tensor) -> Tensor:
        """(n, d) vectors to (n, m) int64 codes, without noise."""
        residual, codes = vectors, []
        for level in range(len(self.codebooks)):
            scores, table = self._scores(residual, level), self.vectors(level)
            codes.append(scores.argmax(dim=-1))
            soft = self.config.index_residual == "soft"
            residual = residual - (scores.softmax(dim=-1) @ table if soft else table[codes[-1]])
        return torch.stack(codes, dim=1)

    def lookup(self, codes: Tensor) -> Tensor:
        """(n, m) codes to (n, m, d): the code vector of each level, differentiable in the codebooks."""
        return look_up(codes, self.vectors)


def look_up(codes: Tensor, vectors: Callable[[int], Tensor]) -> Tensor:
    """(n, m) codes to (n, m, d), where `vectors(level)` are the (K, d) code vectors of a level."""
    return torch.stack([F.embedding(codes[:, at], vectors(at)) for at in range(codes.shape[1])], dim=1)


def starting_codebooks(
    vectors: np.ndarray, codes: Sequence[int], *, seed: int, clusters: str = "cosine"
) -> tuple[np.ndarray, ...]:
    """Starting codes by one of `CLUSTERS`; see `cosine_codebooks` and `ResidualQuantizer.fit`.

    >>> [book.shape for book in starting_codebooks(np.eye(4), (2, 3), seed=0, clusters="euclidean")]
    [(2, 4), (3, 4)]
    """
    if clusters == "euclidean":
        return ResidualQuantizer.fit(vectors, len(codes), codes, seed=seed).codebooks
    return cosine_codebooks(vectors, codes, seed=seed)


def starting_codes(
    vectors: np.ndarray, codebooks: Sequence[np.ndarray], *, clusters: str = "cosine"
) -> np.ndarray:
    """(n, d) vectors to (n, m) int64 codes of `starting_codebooks`, compared as they were clustered.

    Raises:
        InputError: vectors of another width than the codebooks.
    """
    if clusters == "euclidean":
        return ResidualQuantizer(tuple(codebooks)).encode(vectors)
    return encode_by_cosine(vectors, codebooks)


def cosine_codebooks(vectors: np.ndarray, codes: Sequence[int], *, seed: int) -> tuple[np.ndarray, ...]:
    """Starting codes, level by level: clusters by cosine, each code the plain mean of its residuals.

    Normalised means would shrink what later levels are left with (measured: cosine of the sum .70
    after three levels instead of .92).

    Args:
        vectors: (n, d) finite, n >= 1.
        codes: K of each level; fewer where fewer distinct residuals exist.

    Returns: one (K', d) float32 matrix per level.

    >>> [book.shape for book in cosine_codebooks(np.eye(4), (2, 2), seed=0)]
    [(2, 4), (2, 4)]
    """
    residual = check_width(vectors, np.asarray(vectors).shape[1])
    books = []
    for level, count in enumerate(codes):
        centres, assignment = kmeans(residual, count, seed=(seed, level), spherical=True)
        sums = np.zeros(centres.shape, np.float64)
        np.add.at(sums, assignment, residual)
        used = np.bincount(assignment, minlength=len(centres))[:, None]
        book = np.where(used > 0, sums / np.maximum(used, 1), centres).astype(np.float32)
        residual = residual - book[assignment]
        books.append(book)
    return tuple(books)


def encode_by_cosine(vectors: np.ndarray, codebooks: Sequence[np.ndarray]) -> np.ndarray:
    """(n, d) vectors to (n, m) int64 codes: at each level the code of the nearest direction.

    Raises:
        InputError: vectors of another width than the codebooks.
    """
    residual = check_width(vectors, codebooks[0].shape[1])
    codes = np.empty((len(residual), len(codebooks)), np.int64)
    for level, book in enumerate(codebooks):
        directions = book / np.maximum(np.linalg.norm(book, axis=1, keepdims=True), 1e-12)
        codes[:, level] = (residual @ directions.T).argmax(axis=1)
        residual = residual - book[codes[:, level]]
    return codes
