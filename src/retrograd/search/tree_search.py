"""A tree of clusters over a system's own vectors, searched from the root: an index for any vector model.

The tree is rebuilt from the vectors as they are, whatever docids the system has; routing by mean vectors,
exact cosine at the leaves.
Shapes: n documents, d dimensions, L levels of the tree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from retrograd.docid_table import DocidTable
from retrograd.errors import ArtifactError
from retrograd.models.inputs import Memory
from retrograd.quantizers.kmeans import kmeans
from retrograd.search.geometric import GeometricBeam, geometric_beam
from retrograd.search.geometric_searcher import GeometricSearcher
from retrograd.search.nearest import BASE_VECTORS, document_vectors
from retrograd.search.parts import Parts


@dataclass(frozen=True, kw_only=True)
class TreeSearch:
    """Walk a tree of spherical k-means clusters with a beam; compare documents in the clusters reached.

    It is `GeometricBeam` over the tree's paths with no decoder: a node is worth its cosine with the
    query, plus the planner's best document below it.
    """

    branching: tuple[int, ...] = (256, 256)
    """Clusters a node is split into, level by level; fewer where it holds fewer documents."""

    width: int = 10
    """Nodes kept per level. A search for k documents keeps k leaves."""

    planner: Any = None
    """As in `GeometricBeam`."""

    planner_weight: float = 0.2
    """In units of the cosine."""

    seed: int = 0
    """Of the clustering."""

    batch_size: int = 32
    """Queries searched together; changes speed, not answers."""

    def __post_init__(self) -> None:
        if not self.branching or min(self.branching) < 1:
            raise ValueError(f"branching={self.branching} must name at least one level of at least 1 cluster")
        self._beam()

    def _beam(self) -> GeometricBeam:
        return GeometricBeam(
            width=self.width,
            normalise="none",
            decoder_weight=0.0,
            rank="cosine",
            look_ahead="centroid",
            planner=self.planner,
            planner_weight=self.planner_weight,
            batch_size=self.batch_size,
        )

    def build(self, parts: Parts) -> GeometricSearcher:
        """Take the tree from `parts.arrays`; grow it and leave it there where missing.

        Raises:
            ArtifactError: what is there does not belong to this corpus.
        """
        name, vectors = f"tree.{'x'.join(map(str, self.branching))}.seed{self.seed}", document_vectors(parts)
        grown_from = vectors if parts.drift is None else parts.arrays[BASE_VECTORS]
        if name not in parts.arrays:
            parts.arrays[name] = grow_tree(grown_from, self.branching, self.seed)
        paths = parts.arrays[name]
        if len(paths) != len(grown_from):
            raise ArtifactError(
                f"{name!r} places {len(paths)} documents but the corpus has {len(grown_from)}; "
                "drop it to grow it again"
            )
        if parts.drift is not None:
            drift, old = parts.drift, paths
            paths = np.empty((len(vectors), old.shape[1]), old.dtype)
            paths[drift.rows[drift.rows >= 0]] = old[drift.rows >= 0]
            paths[drift.joined] = place_in_tree(old, grown_from, vectors[drift.joined])
        sizes = tuple(int(size) for size in paths.max(axis=0) + 1)
        table = DocidTable.from_keys(paths, np.arange(len(paths)), parts.corpus.ids, level_sizes=sizes)
        return geometric_beam(self._beam(), parts, Silent(parts.model, sizes), table)


def grow_tree(vectors: np.ndarray, branching: Sequence[int], seed: int) -> np.ndarray:
    """Split the documents into clusters, each of those again, and so on.

    Args:
        vectors: (n, d) float32, compared by direction.
        branching: clusters per level. A node with no more documents than that gives each its own.

    Returns: (n, L) int32 path of each document.
    """
    paths = np.zeros((len(vectors), len(branching)), np.int32)
    groups = [np.arange(len(vectors))]
    for level, clusters in enumerate(branching):
        parts: list[np.ndarray] = []
        for number, rows in enumerate(groups):
            digits = np.arange(len(rows))
            if len(rows) > clusters:
                _, digits = kmeans(vectors[rows], clusters, seed=(seed, level, number), spherical=True)
            paths[rows, level] = digits
            parts += [rows[digits == digit] for digit in range(int(digits.max()) + 1)]
        groups = parts
    return paths


def place_in_tree(paths: np.ndarray, grown_from: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Paths of more documents: from the root down to the child whose mean vector is nearest by direction.

    Args:
        paths: (n, L) of the documents the tree was grown from.
        grown_from: (n, d) float32 vectors of those.
        vectors: (m, d) float32.

    Returns: (m, L), each the path of some document of the tree.
    """
    out = np.zeros((len(vectors), paths.shape[1]), paths.dtype)
    for at, vector in enumerate(vectors):
        rows = np.arange(len(paths))
        for level in range(paths.shape[1]):
            digits, child = np.unique(paths[rows, level], return_inverse=True)
            sums = np.zeros((len(digits), vectors.shape[1]))
            np.add.at(sums, child, grown_from[rows])
            cosines = sums @ vector / np.maximum(np.linalg.norm(sums, axis=1), 1e-12)
            out[at, level] = digits[cosines.argmax()]
            rows = rows[child == cosines.argmax()]
    return out


class _Rows(NamedTuple):
    """What a step of `Silent` reads."""

    rows: int
    level: int


class Silent(nn.Module):
    """A vector model in the dress of a decoder that has no opinion: every step scores 0."""

    scale = 1.0

    def __init__(self, model: Any, level_sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.level_sizes, self.depth = level_sizes, len(level_sizes)
        self._query_vectors: Callable[[Sequence[str]], np.ndarray] = model.query_vectors

    def prepare(self, texts: Sequence[str], role: str) -> Tensor:
        """(texts, d) float32 query vectors."""
        del role
        return torch.from_numpy(np.array(self._query_vectors(texts), np.float32))

    def collate(self, prepared: Tensor, rows: np.ndarray) -> dict[str, Tensor]:
        """`vectors` (B, d) float32."""
        return {"vectors": prepared[rows]}

    def encode(self, inputs: dict[str, Tensor]) -> Memory:
        """The vector as the only memory state."""
        states = inputs["vectors"].unsqueeze(1)
        return Memory(states, states.new_ones(states.shape[:2], dtype=torch.bool))

    def start(self, memory: Memory) -> _Rows:
        """The cache of B empty prefixes."""
        return _Rows(len(memory.states), 0)

    def step(
        self, cache: _Rows, token: Tensor | None = None, parent: Tensor | None = None
    ) -> tuple[Tensor, _Rows]:
        """Zeros (R, tokens of the level)."""
        del parent
        rows = cache.rows if token is None else len(token)
        return torch.zeros(rows, self.level_sizes[cache.level]), _Rows(rows, cache.level + 1)
