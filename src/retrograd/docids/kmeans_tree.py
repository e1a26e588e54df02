"""Recursive k-means: documents that mean alike share the beginning of their key.

Tay et al., 2022 (arXiv 2202.06991), section 3.2, "semantically structured identifiers", algorithm 1;
codebooks per level: Wang et al., 2022 (arXiv 2206.02743), section 3.2.
Shapes: n vectors, d dimensions; a tree has N nodes in breadth-first order, node 0 is the root.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrograd.docid_table import DocidTable
from retrograd.docids.append import append_keys, sizes_for
from retrograd.docids.collisions import rank_within
from retrograd.docids.inputs import DocidInputs, check_vector_source
from retrograd.errors import ArtifactError, InputError
from retrograd.quantizers.kmeans import as_points, assign_nearest, kmeans
from retrograd.types import State, TextEncoderConfig


@dataclass(frozen=True, eq=False)
class CentroidTree:
    """Frozen centres; the children of a node are numbered one after another."""

    centroids: np.ndarray
    """(N, d) float32; the root's is never compared."""

    first_child: np.ndarray
    """(N,) int64."""

    num_children: np.ndarray
    """(N,) int64; 0 marks a leaf."""

    @classmethod
    def grow(
        cls, vectors: np.ndarray, *, branching: int, leaf_size: int, max_depth: int, seed: int
    ) -> CentroidTree:
        """Split each cluster of more than `leaf_size` vectors into `branching`, from the root down.

        A cluster of equal vectors cannot be split and stays a leaf of any size, as does one at `max_depth`.

        Args:
            vectors: (n, d) finite, n >= 1.
        """
        vectors = as_points(vectors)
        centroids = [vectors.mean(axis=0, keepdims=True)]
        members, depths = [np.arange(len(vectors))], [0]
        first_child: list[int] = []
        num_children: list[int] = []
        for rows in members:  # grows while it is walked
            node = len(first_child)
            first_child.append(len(members))
            num_children.append(0)
            if len(rows) <= leaf_size or depths[node] == max_depth:
                continue
            centres, assignment = kmeans(vectors[rows], branching, seed=(seed, node))
            if len(centres) > 1:
                num_children[node] = len(centres)
                centroids.append(centres)
                members += [rows[assignment == child] for child in range(len(centres))]
                depths += [depths[node] + 1] * len(centres)
        return cls(np.concatenate(centroids), np.array(first_child), np.array(num_children))

    def walk(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """From the root to the nearest child until a leaf.

        Returns: (n,) int64 leaf of each vector and (n, steps) int64 child digits, padded with -1.
        """
        node = np.zeros(len(vectors), np.int64)
        steps = [np.empty((len(vectors), 0), np.int64)]
        while (self.num_children[node] > 0).any():
            digits = np.full(len(vectors), -1, np.int64)
            order = np.argsort(node, kind="stable")
            parents, starts = np.unique(node[order], return_index=True)
            for parent, rows in zip(parents, np.split(order, starts[1:]), strict=True):
                first, count = self.first_child[parent], self.num_children[parent]
                if count:
                    digits[rows] = assign_nearest(vectors[rows], self.centroids[first : first + count])
            node = np.where(digits >= 0, self.first_child[node] + digits, node)
            steps.append(digits[:, None])
        return node, np.concatenate(steps, axis=1)


@dataclass(frozen=True, kw_only=True)
class KMeansTree:
    """A key is the path of cluster digits from the root, then the index inside the leaf."""

    encoder: TextEncoderConfig
    """Makes the vectors that are clustered."""

    of: str = "documents"
    """`documents`, or `pseudo_queries` for the mean vector of each document's pseudo-queries."""

    branching: int = 10
    """Clusters a node is split into."""

    leaf_size: int = 100
    """Clusters of at most so many documents are not split."""

    position_aware: bool = True
    """Each depth has its own tokens; False shares one vocabulary, so a digit means the same at any depth."""

    max_depth: int = 10
    """Cluster digits at most: skewed vectors make large leaves instead of endless keys."""

    def __post_init__(self) -> None:
        check_vector_source(self.of)
        if self.branching < 2 or self.leaf_size < 1 or self.max_depth < 0:
            raise ValueError(
                f"branching={self.branching} must be at least 2, leaf_size={self.leaf_size} at least 1 "
                f"and max_depth={self.max_depth} at least 0"
            )

    def assign(self, inputs: DocidInputs) -> DocidTable:
        """Grow the tree on the corpus and walk every document down it.

        Raises:
            InputError: vectors that are not finite.
        """
        vectors = inputs.vectors_of(self.encoder, self.of)
        tree = CentroidTree.grow(
            vectors,
            branching=self.branching,
            leaf_size=self.leaf_size,
            max_depth=self.max_depth,
            seed=inputs.seed,
        )
        keys, next_index = _place(tree, np.zeros(len(tree.centroids), np.int64), vectors)
        return DocidTable.from_keys(
            keys,
            np.arange(len(keys)),
            inputs.corpus.ids,
            level_sizes=sizes_for(keys, shared=not self.position_aware),
            shared_vocabulary=not self.position_aware,
            state=_to_state(tree, next_index),
        )

    def insert(self, table: DocidTable, inputs: DocidInputs) -> DocidTable:
        """Walk the frozen tree to the nearest leaf and take the next free index there.

        Raises:
            InputError: vectors of another width than the tree's.
        """
        tree, next_index = _from_state(table.state)
        vectors = inputs.vectors_of(self.encoder, self.of)
        if vectors.shape[1] != tree.centroids.shape[1]:
            raise InputError(
                f"vectors of {vectors.shape[1]} dimensions do not fit a tree of {tree.centroids.shape[1]}; "
                "use the encoder it was grown with"
            )
        keys, next_index = _place(tree, next_index, vectors)
        return append_keys(table, keys, inputs.corpus.ids, state=_to_state(tree, next_index))


def _place(tree: CentroidTree, next_index: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, steps + 1) keys with -1 between a short path and its index, and the leaves' next free indexes.

    Free indexes are counted, not looked up, so the id of a deleted document is never given again.
    """
    leaf, path = tree.walk(vectors)
    index = next_index[leaf] + rank_within(leaf)
    return np.column_stack([path, index]), next_index + np.bincount(leaf, minlength=len(next_index))


def _to_state(tree: CentroidTree, next_index: np.ndarray) -> State:
    return {
        "centroids": tree.centroids,
        "first_child": tree.first_child,
        "num_children": tree.num_children,
        "next_index": next_index,
    }


def _from_state(state: State) -> tuple[CentroidTree, np.ndarray]:
    try:
        tree = CentroidTree(state["centroids"], state["first_child"], state["num_children"])
        return tree, state["next_index"]
    except KeyError as missing:
        raise ArtifactError(
            f"the docid table holds no {missing} of a cluster tree; fit the docids again"
        ) from None
