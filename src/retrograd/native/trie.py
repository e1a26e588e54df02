"""A trie as the compiled core walks it: flat arrays that have been checked once.

Knows nodes, tokens and key numbers. Nodes are numbered breadth first; edge `e` leads to node `e + 1`.
Shapes: N nodes, L levels.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from retrograd.native.arrays import checked
from retrograd.native.library import TrieStructure


class NativeTrie:
    """Checked arrays; no token and no edge leads out of them.

    Args:
        first_edge: (N + 1,) int32, node `s` owns the edges from `first_edge[s]` to `first_edge[s + 1]`.
        token: (N,) uint8 or int32, what leads to a node.
        key_of_node: (N,) int32, -1 at inner nodes.
        level_start: (L + 2) first node of each depth, and N.
        live: (N,) bool, False at nodes that may not be visited.

    Raises:
        TypeError, ValueError: an array of another type or shape, or not such a trie.
    """

    def __init__(
        self,
        first_edge: np.ndarray,
        token: np.ndarray,
        key_of_node: np.ndarray,
        level_start: tuple[int, ...],
        live: np.ndarray | None = None,
    ) -> None:
        nodes = len(key_of_node)
        self.first_edge = checked("first_edge", first_edge, np.int32, (nodes + 1,))
        code = np.uint8 if getattr(token, "dtype", None) == np.uint8 else np.int32
        self.token = checked("token", token, code, (nodes,))
        self.key_of_node = checked("key_of_node", key_of_node, np.int32, (nodes,))
        self.live = None if live is None else checked("live", live, np.bool_, (nodes,))
        self.num_nodes, self.num_keys = nodes, int((self.key_of_node >= 0).sum())
        self.depth = len(level_start) - 2
        self._check_levels(level_start)
        levels = pairwise(level_start[1:])
        self.largest_tokens = tuple(int(self.token[first:after].max(initial=0)) for first, after in levels)
        """(L) largest token of each level."""

    def _check_levels(self, level_start: tuple[int, ...]) -> None:
        """Edges of a depth lead to the next depth, all of them and nowhere else."""
        edges, starts = self.first_edge, np.asarray(level_start, np.int64)
        sound = (
            self.depth >= 0
            and starts[0] == 0
            and starts[1] == 1
            and starts[-1] == self.num_nodes
            and (np.diff(starts) >= 0).all()
            and (np.diff(edges) >= 0).all()
            and edges[0] == 0
            and edges[-1] == self.num_nodes - 1
            and (edges[starts[:-1]] + 1 == starts[1:]).all()
            and (self.token >= 0).all()
        )
        if not sound:
            raise ValueError("first_edge and level_start are not those of one trie numbered breadth first")

    @property
    def structure(self) -> TrieStructure:
        """Pointers into the arrays; alive as long as this object."""
        return TrieStructure(
            self.num_nodes,
            self.num_keys,
            self.first_edge.ctypes.data,
            self.token.ctypes.data,
            self.token.itemsize,
            self.key_of_node.ctypes.data,
            None if self.live is None else self.live.ctypes.data,
        )
