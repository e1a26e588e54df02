"""The trie of all docids as three flat arrays that gather on any device.

Nodes are numbered breadth first, so node 0 is the empty prefix and the edge `e` leads to node
`e + 1`: edges need no pointer. Among nodes of one depth the numbers follow the order of keys.
Knows token ids and rows of the docid table; never documents, scores or models.
Shapes: R rows, E edges, N = E + 1 nodes, n keys, L levels, V tokens of the largest level.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from retrograd.constraints.protocol import Children, follow, mask_of
from retrograd.docid_table import DocidTable


@dataclass(frozen=True, eq=False)
class CsrTrie:
    """Implements `Constraint`; a state is a node number.

    >>> table = DocidTable.from_keys([[0, 1], [0, 0], [2]], [0, 1, 2], ["a", "b", "c"], level_sizes=(3, 2))
    >>> trie = CsrTrie.from_table(table)
    >>> trie.children(trie.start(1)).token.tolist()
    [0, 2]
    """

    first_edge: Tensor
    """(N + 1,) int32: node `s` owns the edges `first_edge[s]` up to `first_edge[s + 1]`."""

    token: Tensor
    """(N,) uint8 where every token fits, else int32: what leads to a node, 0 at the root; ascending
    among the children of one."""

    key_of_node: Tensor
    """(N,) int32: row of the docid table, -1 at inner nodes."""

    leaves: Tensor
    """(n,) int32: the node each key ends at, in the lexicographic order of the keys."""

    level_start: tuple[int, ...]
    """(L + 2,) first node of each depth, and N."""

    vocab: int
    """V."""

    @classmethod
    def from_table(cls, table: DocidTable, device: str | torch.device = "cpu") -> CsrTrie:
        """The trie of all keys of a table. O(tokens) after sorting the keys."""
        return cls.from_keys(table.padded, table.level_sizes, device)

    @classmethod
    def from_keys(
        cls, padded: np.ndarray, level_sizes: tuple[int, ...], device: str | torch.device = "cpu"
    ) -> CsrTrie:
        """The same of keys (n, L) int64 in any order, short ones padded with -1; at least one, none of them
        twice or a prefix of another, which a `DocidTable` checks and this does not."""
        order = _sorted_rows(padded, level_sizes)
        rows = padded[order]
        lengths = (rows >= 0).sum(axis=1)
        fresh = np.zeros(len(rows), bool)
        fresh[0] = True
        node = np.zeros(len(rows), np.int64)  # of each key at the depth reached so far
        tokens, parents, starts = [np.zeros(1, np.int64)], [], [0, 1]
        for depth in range(len(level_sizes)):
            fresh[1:] |= rows[1:, depth] != rows[:-1, depth]
            opens = fresh & (lengths > depth)
            tokens.append(rows[opens, depth])
            parents.append(node[opens])
            number = starts[-1] - 1 + np.cumsum(opens)
            node = np.where(lengths > depth, number, node)
            starts.append(int(number[-1]) + 1)
        counts = np.bincount(np.concatenate(parents), minlength=starts[-1])
        key_of_node = np.full(starts[-1], -1, np.int32)
        key_of_node[node] = order
        code = np.uint8 if max(level_sizes) <= 256 else np.int32
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        return cls(
            first_edge=torch.from_numpy(first).to(device),
            token=torch.from_numpy(np.concatenate(tokens).astype(code)).to(device),
            key_of_node=torch.from_numpy(key_of_node).to(device),
            leaves=torch.from_numpy(node.astype(np.int32)).to(device),
            level_start=tuple(starts),
            vocab=max(level_sizes),
        )

    @property
    def num_nodes(self) -> int:
        """N, the root included."""
        return len(self.key_of_node)

    @property
    def num_bytes(self) -> int:
        """Memory of the arrays."""
        return sum(array.nbytes for array in (self.first_edge, self.token, self.key_of_node, self.leaves))

    @cached_property
    def parent(self) -> Tensor:
        """(N,) int64: the node above; the root is its own."""
        nodes = torch.arange(self.num_nodes, device=self.token.device)
        above = torch.repeat_interleave(nodes, self.first_edge.diff().long())
        return torch.cat([nodes[:1], above])

    @cached_property
    def node_of_key(self) -> Tensor:
        """(n,) int64: the leaf of each row of the docid table."""
        out = torch.empty(len(self.leaves), dtype=torch.int64, device=self.leaves.device)
        out[self.key_of_node[self.leaves].long()] = self.leaves.long()
        return out

    @cached_property
    def place_of_leaf(self) -> Tensor:
        """(N,) int64: place of the key that ends at each node in the lexicographic order of keys, else -1."""
        out = torch.full((self.num_nodes,), -1, dtype=torch.int64, device=self.leaves.device)
        out[self.leaves.long()] = torch.arange(len(self.leaves), device=self.leaves.device)
        return out

    def keys(self) -> np.ndarray:
        """(n, L) int64: the tokens of each key, by its row in the docid table; -1 behind its end."""
        node, token = self.node_of_key.cpu().numpy(), self.token.cpu().numpy()
        above, starts = self.parent.cpu().numpy(), np.asarray(self.level_start)
        depth = np.searchsorted(starts, node, side="right") - 1
        out = np.full((len(node), len(starts) - 2), -1, np.int64)
        for column in reversed(range(out.shape[1])):
            there = depth > column
            out[there, column] = token[node[there]]
            node = np.where(there, above[node], node)
        return out

    def walk(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far keys lead: the last node of each on its way (n,), and how many tokens that took (n,).

        Args:
            keys: (n, L) int64, padded with -1; they may end or leave the trie anywhere.
        """
        edges, token = self.first_edge.cpu().numpy(), self.token.cpu().numpy()
        node, depth = np.zeros(len(keys), np.int64), np.zeros(len(keys), np.int64)
        walking = np.arange(len(keys))
        for column in keys.T:
            walking = walking[column[walking] >= 0]
            wanted = column[walking]
            low, end = edges[node[walking]].astype(np.int64), edges[node[walking] + 1].astype(np.int64)
            high = end
            while (low < high).any():  # bisection among the children, all keys at once
                middle = (low + high) // 2
                below = (low < high) & (token[np.minimum(middle + 1, len(token) - 1)] < wanted)
                low, high = np.where(below, middle + 1, low), np.where(below | (low >= high), high, middle)
            there = low < end
            there[there] = token[low[there] + 1] == wanted[there]
            walking = walking[there]
            node[walking] = low[there] + 1
            depth[walking] += 1
        return node, depth

    def start(self, batch: int) -> Tensor:
        """(batch,) int64, all at the root."""
        return torch.zeros(batch, dtype=torch.int64, device=self.token.device)

    def children(self, state: Tensor) -> Children:
        """Edges of each node; none at a leaf."""
        first = self.first_edge.index_select(0, state)
        count = self.first_edge.index_select(0, state + 1).sub_(first).long()
        row = torch.repeat_interleave(count)
        behind = count.cumsum(0).sub_(count)  # edges of the rows before
        child = torch.arange(1, len(row) + 1, device=row.device)
        child += (first - behind).index_select(0, row)
        return Children(row, self.token.index_select(0, child).long(), child)

    def allowed(self, state: Tensor) -> Tensor:
        """(R, V) bool."""
        return mask_of(self.children(state), len(state), self.vocab)

    def advance(self, state: Tensor, token: Tensor) -> Tensor:
        """(R,) nodes after one more token each."""
        return follow(self.children(state), token)

    def is_end(self, state: Tensor) -> Tensor:
        """(R,) bool: leaves."""
        return self.key_of_node.index_select(0, state) >= 0

    def key(self, state: Tensor) -> Tensor:
        """(R,) int64 rows of the docid table, -1 at inner nodes."""
        return self.key_of_node.index_select(0, state).long()


def _sorted_rows(padded: np.ndarray, level_sizes: tuple[int, ...]) -> np.ndarray:
    """Order (n,) of the keys (n, L); one 64-bit word per key where the levels fit into it."""
    bits = [int(size).bit_length() for size in level_sizes]
    if sum(bits) > 63:
        return np.lexsort(padded.T[::-1])
    word = np.zeros(len(padded), np.int64)
    for column, width in zip(padded.T, bits, strict=True):
        word = (word << width) + (column + 1)
    return np.arange(len(word)) if (word[1:] > word[:-1]).all() else np.argsort(word, kind="stable")
