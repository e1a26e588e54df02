"""Model plus structure to `Ranking`: every way of answering, and ways of joining two of them."""

from __future__ import annotations

from retrograd.search.combine import Fuse, Rerank
from retrograd.search.generative import Beam, ScoreAll
from retrograd.search.lexical import Lexical
from retrograd.search.nearest import Nearest

CONFIGS: tuple[type, ...] = (Beam, Fuse, Lexical, Nearest, Rerank, ScoreAll)
"""What a saved recipe may name."""
