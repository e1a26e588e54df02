"""Codes of learnt tokens: a vector says several things, and each is rounded to a code of its own.

The first token is the vector itself, each later one a learnt map of it; gradients pass the rounding
straight through. Chen et al., "UniSearch", 2025 (arXiv 2509.06887), with codes as in Zhu et al.,
"Addressing Representation Collapse in Vector Quantized Models with One Linear Layer", 2024
(arXiv 2411.02038): a table that stays as it was drawn, times a matrix that learns, so that every code
moves with every step. Knows vectors and codes; neither texts, decoders nor losses.
Shapes: n vectors, d dimensions, m levels, K codes of a level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from retrograd.quantizers.soft_residual import CodeScores, Scoring, SoftCodes, cosine_codebooks, look_up


@dataclass(frozen=True, kw_only=True)
class LearnedTokens:
    """The choices of a quantiser of learnt tokens."""

    scoring: Scoring = field(default_factory=Scoring)
    """How a token is compared with the codes; its best code is its id. The scale matters to the usage
    of the codes only."""

    hidden: int = 0
    """Inner width of the maps that make the later tokens; 0 makes each one matrix."""

    def __post_init__(self) -> None:
        if self.hidden < 0:
            raise ValueError(f"hidden={self.hidden} must not be negative")

    def build(self, codebooks: Sequence[np.ndarray]) -> TokenQuantizer:
        """The module, with as many codes as `codebooks`, (K, d) each, but drawn at random."""
        return TokenQuantizer(self, codebooks)


class TokenQuantizer(nn.Module):
    """The same face as `soft_residual.SoftResidualQuantizer`.

    Args:
        codebooks: (K, d) arrays; only their shapes matter.
    """

    softens = False

    def __init__(self, config: LearnedTokens, codebooks: Sequence[np.ndarray]) -> None:
        super().__init__()
        self.config, self.level_sizes = config, tuple(len(book) for book in codebooks)
        width = codebooks[0].shape[1]
        self.maps = nn.ModuleList(_token_map(width, config.hidden) for _ in codebooks[1:])
        self.mixes = nn.ParameterList(nn.Parameter(torch.eye(width)) for _ in codebooks)
        for level, size in enumerate(self.level_sizes):
            self.register_buffer(f"table_{level}", torch.randn(size, width) * width**-0.5)
        self.scores = CodeScores(config.scoring, len(codebooks), width)

    def codebook(self, level: int) -> Tensor:
        """(K, d): the fixed table of a level times its matrix."""
        codes: Tensor = getattr(self, f"table_{level}") @ self.mixes[level]
        return codes

    vectors = codebook

    def tokens(self, vectors: Tensor) -> Tensor:
        """(n, d) vectors to (n, m, d) tokens."""
        return torch.stack([vectors, *(token(vectors) for token in self.maps)], dim=1)

    def clusters(self, vectors: np.ndarray, seed: int) -> tuple[np.ndarray, ...]:
        """Codes that the tokens of (n, d) vectors suggest: per level (K', d), K' at most K."""
        with torch.no_grad():
            tokens = self.tokens(torch.from_numpy(vectors).to(self.mixes[0])).float().cpu().numpy()
        return tuple(
            cosine_codebooks(tokens[:, level], (size,), seed=seed)[0]
            for level, size in enumerate(self.level_sizes)
        )

    @torch.no_grad()
    def restart(self, codebooks: Sequence[np.ndarray]) -> None:
        """Put other codes in the place of the tables; the matrices start again."""
        for level, (mix, start) in enumerate(zip(self.mixes, codebooks, strict=True)):
            getattr(self, f"table_{level}").copy_(torch.as_tensor(start))
            mix.copy_(torch.eye(len(mix)))

    def forward(self, vectors: Tensor, *, temperature: float = 1.0, noise: float = 1.0) -> SoftCodes:
        """Quantise (n, d) vectors; a token's rounding has the identity as its Jacobian.

        Args:
            temperature: of the softmax behind `usage`, above 0.
            noise: no effect: nothing is drawn.
        """
        del noise
        tokens = self.tokens(vectors)
        scores = self._scores(tokens)
        codes = torch.stack([level.argmax(dim=-1) for level in scores], dim=1)
        assigned = self.lookup(codes)
        return SoftCodes(
            codes=codes,
            prefixes=(tokens + (assigned - tokens).detach()).cumsum(dim=1),
            reconstruction=assigned.sum(dim=1),
            parts=tokens,
            residuals=tokens,
            assigned=assigned,
            usage=tuple((level / temperature).softmax(dim=-1).mean(dim=0) for level in scores),
        )

    def _scores(self, tokens: Tensor) -> list[Tensor]:
        levels = range(len(self.level_sizes))
        return [self.scores(tokens[:, level], self.codebook(level), level) for level in levels]

    @torch.no_grad()
    def assign(self, vectors: Tensor) -> Tensor:
        """(n, d) vectors to (n, m) int64 codes."""
        return torch.stack([level.argmax(dim=-1) for level in self._scores(self.tokens(vectors))], dim=1)

    def lookup(self, codes: Tensor) -> Tensor:
        """(n, m) codes to (n, m, d): the code vector of each level, differentiable in the matrices."""
        return look_up(codes, self.vectors)


def _token_map(width: int, hidden: int) -> nn.Module:
    last = nn.Linear(hidden or width, width, bias=False)
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), last) if hidden else last
