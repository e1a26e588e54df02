"""A trie as the compiled core walks it: flat arrays that have been checked once.

Knows nodes, tokens and key numbers. Nodes are numbered breadth first; edge `e` leads to node `e + 1`.
What joined since is a small trie beside the large one, see `NativeTrie.grafted`.
Shapes: M nodes, L levels; D nodes of the grafts, the first A of them below its root standing for nodes of
the large trie; N nodes of both together.
"""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np

from retrograd.native.arrays import checked
from retrograd.native.library import TrieStructure


class NativeTrie:
    """Checked arrays; no token and no edge leads out of them.

    Args:
        first_edge: (M + 1,) int32, node `s` owns the edges from `first_edge[s]` to `first_edge[s + 1]`.
        token: (M,) uint8 or int32, what leads to a node; ascending among the children of one.
        key_of_node: (M,) int32, -1 at inner nodes.
        level_start: (L + 2) first node of each depth, and M.
        live: (M,) bool, False at nodes that may not be visited.

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
        self.graft: NativeTrie | None = None
        self.num_grafted = 0
        self.num_nodes, self.num_keys = nodes, int((self.key_of_node >= 0).sum())
        self.level_start, self.depth = level_start, len(level_start) - 2
        self._check_levels()
        levels = pairwise(level_start[1:])
        self.largest_tokens = tuple(int(self.token[first:after].max(initial=0)) for first, after in levels)
        """(L) largest token of each level."""

    def _check_levels(self) -> None:
        """Edges of a depth lead to the next depth, all of them and nowhere else."""
        edges, starts = self.first_edge, np.asarray(self.level_start, np.int64)
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
        descends = self.token[2:] <= self.token[1:-1]
        apart = edges[1:-1] - 1  # pairs of neighbours that have two parents
        descends[apart[(apart >= 0) & (apart < len(descends))]] = False
        if descends.any():
            raise ValueError("the tokens of a node's children do not ascend")

    def filtered(self, live: np.ndarray) -> NativeTrie:
        """The same trie with other nodes that may be visited; nothing else is checked again.

        Args:
            live: (N,) bool, the nodes of the trie first, then those that are grafted.

        Raises:
            TypeError, ValueError: an array of another type or length.
        """
        made = copy.copy(self)
        live = checked("live", live, np.bool_, (self.num_nodes,))
        made.live = live[: len(self.token)]
        if self.graft is not None:
            made.graft = copy.copy(self.graft)
            made.graft.live = np.concatenate([np.ones(1 + self.num_grafted, bool), live[len(self.token) :]])
        return made

    def changed(self, live: np.ndarray | None, key_of_node: np.ndarray | None) -> NativeTrie:
        """The same nodes with other keys.

        Args:
            live: (M,) bool, or None where every node may be visited.
            key_of_node: (M,) int32 in the place of the trie's own, or None.

        Raises:
            TypeError, ValueError: an array of another type or length.
        """
        nodes, made = len(self.token), copy.copy(self)
        made.live = None if live is None else checked("live", live, np.bool_, (nodes,))
        if key_of_node is not None:
            made.key_of_node = checked("key_of_node", key_of_node, np.int32, (nodes,))
            made.num_keys = int((key_of_node >= 0).sum())
        return made

    def grafted(
        self,
        graft: NativeTrie,
        num_grafted: int,
        live: np.ndarray | None,
        key_of_node: np.ndarray | None = None,
    ) -> NativeTrie:
        """The trie with more keys; only what joins is checked.

        Args:
            graft: its root's children are nodes of this trie, named by their tokens, ascending; what
                stands below them joins there. Its node `g` behind those is node `M + g - 1 - A`.
            num_grafted: A.
            live: (M,) bool of the trie itself.
            key_of_node: (M,) int32 in the place of the trie's own.

        Raises:
            TypeError, ValueError: an array of another type or length, or a token that is there twice.
        """
        nodes, made = len(self.token), self.changed(live, key_of_node)
        if graft.depth < 1 or graft.level_start[2] != 1 + num_grafted:
            raise ValueError(f"{num_grafted} nodes are grafted onto, but the grafts have others")
        points = graft.token[1 : 1 + num_grafted].astype(np.int64)
        if num_grafted and points[-1] >= nodes:
            raise ValueError(f"node {points[-1]} is grafted onto, but there are {nodes}")
        made.graft, made.num_grafted = copy.copy(graft), num_grafted
        made.graft.token = graft.token.astype(np.int32)
        made.num_nodes = nodes + len(graft.token) - 1 - num_grafted
        made.num_keys += graft.num_keys
        made.largest_tokens = self._largest_with(graft, points)
        made.depth = len(made.largest_tokens)
        return made

    def _largest_with(self, graft: NativeTrie, points: np.ndarray) -> tuple[int, ...]:
        """The largest token of each level with the grafts, whose tokens must not be there already."""
        counts = np.diff(graft.first_edge)
        parent = np.concatenate([[0], np.repeat(np.arange(len(graft.token)), counts)])
        depth = np.zeros(len(graft.token), np.int64)
        depth[1 : 1 + len(points)] = np.searchsorted(self.level_start, points, side="right") - 1
        for first, after in pairwise(graft.level_start[2:]):
            depth[first:after] = depth[parent[first:after]] + 1
        largest = np.zeros(max(self.depth, int(depth.max())), np.int64)
        largest[: self.depth] = self.largest_tokens
        joined = slice(1 + len(points), None)
        np.maximum.at(largest, depth[joined] - 1, graft.token[joined])
        self._check_apart(graft, points)
        return tuple(largest.tolist())

    def _check_apart(self, graft: NativeTrie, points: np.ndarray) -> None:
        below = slice(1, 1 + len(points))
        own, own_token = _edges(self, points)
        new, new_token = _edges(graft, np.arange(below.start, below.stop))
        width = 1 + max(int(own_token.max(initial=0)), int(new_token.max(initial=0)))
        if np.isin(new * width + new_token, own * width + own_token).any():
            raise ValueError("a token that is grafted is among the children already")

    @property
    def structure(self) -> TrieStructure:
        """Pointers into the arrays; alive as long as this object."""
        graft = self.graft
        beside = (None,) * 4
        if graft is not None:
            arrays = (graft.first_edge, graft.token, graft.key_of_node, graft.live)
            beside = tuple(None if array is None else array.ctypes.data for array in arrays)  # type: ignore[assignment]
        return TrieStructure(
            self.num_nodes,
            self.num_keys,
            len(self.token),
            self.first_edge.ctypes.data,
            self.token.ctypes.data,
            self.token.itemsize,
            self.num_grafted,
            self.key_of_node.ctypes.data,
            None if self.live is None else self.live.ctypes.data,
            *beside,
        )


def _edges(trie: NativeTrie, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of `nodes` each of their children belongs to, and the children's tokens."""
    first, after = trie.first_edge[nodes].astype(np.int64), trie.first_edge[nodes + 1].astype(np.int64)
    count = after - first
    owner = np.repeat(np.arange(len(nodes)), count)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    return owner, trie.token[np.repeat(first, count) + within + 1].astype(np.int64)
