"""Look-ahead: what a beam may know of the documents below a prefix before it goes there.

A prefix is worth what it leads to: the mean vector of the documents below it, the best of them, a
value a model learnt, or the best score another searcher gave one of them (Zeng et al. 2024,
arXiv 2404.14600, section 3.3). Knows tries, vectors and scores; neither decoders nor beams.
Shapes: B queries, E candidates, N trie nodes, P (key, document) pairs, n documents, d dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from retrograd.constraints import CsrTrie
from retrograd.docid_table import DocidTable
from retrograd.search.combine import RULES, Contribution
from retrograd.search.parts import Parts
from retrograd.types import Query, Searcher, best_rows


class Outlook(Protocol):
    """Values of the trie nodes for B queries; a `beam.Prior` that counts its work."""

    @property
    def scored(self) -> Tensor:
        """(B,) int64: vectors each query was compared with so far."""
        ...

    def __call__(self, query: Tensor, node: Tensor) -> Tensor:
        """(E,) queries and (E,) nodes -> (E,) float."""
        ...


@dataclass(frozen=True, eq=False)
class Descendants:
    """Which documents lie below each node of a trie. One with several keys counts under each."""

    trie: CsrTrie
    leaf: Tensor
    """(P,) int64 node of each pair."""

    document: Tensor
    """(P,) int64 row of each pair."""

    @classmethod
    def from_table(cls, table: DocidTable, device: str | torch.device = "cpu") -> Descendants:
        """The trie of a table and what it leads to."""
        trie = CsrTrie.from_table(table, device)
        key, document = torch.from_numpy(table.pairs.T.copy()).to(device).unbind(0)
        return cls(trie, trie.node_of_key[key], document)

    def centroids(self, vectors: Tensor) -> Tensor:
        """Unit mean of the vectors (n, d) below each node: (N, d) float32; 0 where nothing is."""
        sums = vectors.new_zeros(self.trie.num_nodes, vectors.shape[1])
        sums.index_add_(0, self.leaf, vectors[self.document])
        for first, after in self._levels_upward():
            sums.index_add_(0, self.trie.parent[first:after], sums[first:after].clone())
        return F.normalize(sums, dim=1)

    def best(self, values: Tensor) -> Tensor:
        """Largest value (B, n) of the documents below each node: (B, N); -inf where nothing is."""
        out = values.new_full((len(values), self.trie.num_nodes), -torch.inf)
        out.scatter_reduce_(1, self.leaf.expand(len(values), -1), values[:, self.document], "amax")
        for first, after in self._levels_upward():
            above = self.trie.parent[first:after].expand(len(values), -1)
            out.scatter_reduce_(1, above, out[:, first:after].clone(), "amax")
        return out

    def _levels_upward(self) -> list[tuple[int, int]]:
        """First node and end of each level, the deepest first, the root left out."""
        return list(pairwise(self.trie.level_start[1:]))[::-1]


class CentroidCosines:
    """Cosine of the query and the mean of the documents below, of the candidates only.

    Args:
        queries: (B, d) unit rows.
        centroids: (N, d) unit rows.
    """

    def __init__(self, queries: Tensor, centroids: Tensor) -> None:
        self._queries, self._centroids = queries, centroids
        self.scored = torch.zeros(len(queries), dtype=torch.int64, device=queries.device)

    def __call__(self, query: Tensor, node: Tensor) -> Tensor:
        """(E,) cosines."""
        self.scored += torch.bincount(query, minlength=len(self.scored))
        # candidates of one query stand together: a product per query reads each centroid once
        asked, counts = torch.unique_consecutive(query, return_counts=True)
        pairs = zip(asked.tolist(), torch.split_with_sizes(node, counts.tolist()), strict=True)
        cosines = [self._centroids.index_select(0, nodes) @ self._queries[at] for at, nodes in pairs]
        return torch.cat([self._queries.new_empty(0), *cosines])


class BestDescendants:
    """Cosine of the query and the nearest document below: exact, at the price of scoring every document.

    Args:
        queries: (B, d) unit rows.
        vectors: (n, d) unit rows.
    """

    def __init__(self, queries: Tensor, vectors: Tensor, below: Descendants) -> None:
        self._values = below.best(queries @ vectors.T)
        self.scored = torch.full((len(queries),), len(vectors), dtype=torch.int64, device=queries.device)

    def __call__(self, query: Tensor, node: Tensor) -> Tensor:
        """(E,) cosines."""
        return self._values[query, node]


class RoutedCosines:
    """Cosines of the centroids with a query vector that the model turned for each level.

    Args:
        queries: per level (B, d) unit rows, the first below the root first.
        centroids: (N, d) unit rows.
    """

    def __init__(self, queries: Sequence[Tensor], centroids: Tensor, trie: CsrTrie) -> None:
        self._levels = [CentroidCosines(turned, centroids) for turned in queries]
        self._bounds = torch.tensor(trie.level_start[2:], device=centroids.device)

    @property
    def scored(self) -> Tensor:
        """(B,) int64: centroids each query was compared with so far."""
        return torch.stack([level.scored for level in self._levels]).sum(dim=0)

    def __call__(self, query: Tensor, node: Tensor) -> Tensor:
        """(E,) cosines."""
        depth = torch.searchsorted(self._bounds, node, right=True)
        out = torch.zeros(len(node), dtype=torch.float32, device=node.device)
        for level, cosines in enumerate(self._levels):
            here = (depth == level).nonzero().squeeze(1)
            if len(here):
                out[here] = cosines(query[here], node[here])
        return out


def shares_of_best(scores: np.ndarray, found: np.ndarray, constant: float = 0.0) -> Contribution:
    """`score / largest score`; 0 where that is negative and for every document that is not in the list.

    Args:
        scores: (q, k) float.
        found: (q, k) bool, False for padding.
        constant: not used.

    >>> shares_of_best(np.array([[4.0, 1.0]]), np.ones((1, 2), bool))
    Contribution(scores=array([[1.  , 0.25]]), missing=array([0.]))
    """
    del constant
    positive = np.where(found, scores, 0.0).clip(min=0.0).astype(np.float64)
    best = positive.max(axis=1, keepdims=True, initial=0.0)
    shares = np.divide(positive, best, out=np.zeros_like(positive), where=best > 0)
    return Contribution(shares, np.zeros(len(scores)))


SCALES = {"max": shares_of_best, "z_score": RULES["z_score"]}
"""How a planner's scores are put on a scale, query by query."""


def check_planner_scale(scale: str) -> None:
    """ValueError unless it is one of `SCALES`."""
    if scale not in SCALES:
        raise ValueError(f"planner_scale={scale!r}; choose one of {', '.join(SCALES)}")


class Planner:
    """Another searcher's opinion of the documents, as values of the nodes that lead to them.

    Args:
        row_of: document id -> row.
        depth: documents asked of the searcher.
        scale: one of `SCALES`.
    """

    def __init__(
        self, searcher: Searcher, row_of: Mapping[str, int], below: Descendants, *, depth: int, scale: str
    ) -> None:
        self._searcher, self._row_of, self._below = searcher, row_of, below
        self._depth, self._scale = depth, SCALES[scale]

    def __call__(self, queries: Sequence[Query]) -> Tensor:
        """(B, N) float32: the best document below; what stands for the others where none was found."""
        documents = len(self._row_of)
        scores, rows = best_rows(self._searcher, queries, min(self._depth, documents), self._row_of)
        query, place = np.nonzero(rows >= 0)
        said = self._scale(scores, rows >= 0, 0.0)
        values = np.repeat(said.missing[:, None], documents, axis=1).astype(np.float32)
        values[query, rows[query, place]] = said.scores[query, place]
        return self._below.best(torch.from_numpy(values).to(self._below.leaf.device))


def planner_of(config: Any, parts: Parts, below: Descendants) -> Planner:
    """The planner of a beam's config, which has `planner`, `planner_depth` and `planner_scale`.

    Args:
        below: of docids whose documents are those of the corpus, row by row.
    """
    searcher, row_of = config.planner.build(parts), parts.corpus.row_of
    return Planner(searcher, row_of, below, depth=config.planner_depth, scale=config.planner_scale)
