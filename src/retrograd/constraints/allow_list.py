"""Only some documents may be answered: a permission filter, a facet, a tombstone list.

Knows the trie and which documents are allowed; never why. A branch without an allowed document
is dead at once, so a beam never walks into it. Shapes: R rows, N nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from retrograd.constraints.csr_trie import CsrTrie
from retrograd.constraints.live_trie import LiveTrie
from retrograd.constraints.protocol import Children, follow, mask_of
from retrograd.docid_table import DocidTable


def trie_of(constraint: CsrTrie | AllowList) -> CsrTrie:
    """The trie itself, or the one that an allow-list stands on.

    Raises:
        TypeError: that is a live trie.
    """
    trie = constraint.trie if isinstance(constraint, AllowList) else constraint
    if isinstance(trie, LiveTrie):
        raise TypeError("needs the nodes of one trie; build the allow-list on `merged().base`")
    return trie


@dataclass(frozen=True, eq=False)
class AllowList:
    """Implements `Constraint`: the part of a trie that leads to allowed documents.

    A key that names an allowed and a forbidden document stays legal: whoever expands keys into
    documents drops the forbidden one.
    """

    trie: CsrTrie | LiveTrie
    live: Tensor
    """(N,) bool: nodes on the way to an allowed document."""

    @classmethod
    def from_documents(
        cls, trie: CsrTrie | LiveTrie, table: DocidTable, documents: Sequence[int] | np.ndarray
    ) -> AllowList:
        """Keep the document rows given; none of them allows nothing. Takes time in the number of those,
        not of the catalogue, once a table and a trie have been asked for the first time.

        Args:
            table: the one the trie was built from, or whose keys the trie numbers by row.
        """
        rows = np.asarray(documents, np.int64)
        keys, starts = table.by_document
        count = starts[rows + 1] - starts[rows]
        behind = np.repeat(starts[rows] - (np.cumsum(count) - count), count)
        keys = keys[behind + np.arange(len(behind))]
        nodes = trie.node_of_key[torch.from_numpy(keys).to(trie.token.device)]
        # numpy leaves pages of zeros to the system, which makes those that are written to
        live = torch.from_numpy(np.zeros(trie.num_nodes, bool)).to(trie.token.device)
        for _ in range(table.depth + 1):
            live[nodes] = True
            nodes = trie.parent[nodes]
        return cls(trie, live)

    def start(self, batch: int) -> Tensor:
        """(batch,) int64, all at the root."""
        return self.trie.start(batch)

    def children(self, state: Tensor) -> Children:
        """Edges that still lead to an allowed document."""
        children = self.trie.children(state)
        return Children(*(column[self.live[children.state]] for column in children))

    def allowed(self, state: Tensor) -> Tensor:
        """(R, V) bool."""
        return mask_of(self.children(state), len(state), self.trie.vocab)

    def advance(self, state: Tensor, token: Tensor) -> Tensor:
        """(R,) nodes after one more token each."""
        return follow(self.children(state), token)

    def is_end(self, state: Tensor) -> Tensor:
        """(R,) bool: live leaves."""
        return self.trie.is_end(state) & self.live[state]

    def key(self, state: Tensor) -> Tensor:
        """(R,) int64 rows of the docid table, -1 at inner nodes."""
        return self.trie.key(state)
