"""Next items by a network that walks down the tree of ids: the probability of every item, exactly.

One product with the vectors of all nodes and one softmax among the siblings of each. Exclusion and order of
the answers are `next_item`'s. Items are found by their key in the docid table, so those that came later stand
in the tree too; they are answers where the model reads text.
Shapes: q histories, n items of the corpus, N nodes, C nodes of a level, L levels, d width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retrograd.data.sequences import pack
from retrograd.errors import InputError
from retrograd.models.id_tree import IdTree, embedded_paths, key_of_items, last_nodes
from retrograd.search.next_item import UNPROPOSED, ItemScores, NextItemSearcher
from retrograd.search.parts import Parts


@dataclass(frozen=True, kw_only=True)
class IdTreeScores:
    """Log-probability of an item's id after a history."""

    exclude_history: bool = True
    """Never answer with what the asker took before."""

    reads_history: ClassVar[bool] = True
    reads_text: ClassVar[bool] = False

    def build(self, parts: Parts) -> NextItemSearcher:
        """The tree of the items there are now.

        Raises:
            InputError: the system has no model of an id tree, or an item has no docid.
        """
        if parts.table is None or not hasattr(parts.model, "choices"):
            raise InputError("this search needs a model of an id tree; give the recipe an IdTreeTransformer")
        scores = PathScores.of(parts)
        return NextItemSearcher(parts.corpus, scores, exclude_history=self.exclude_history)


@dataclass(frozen=True, eq=False)
class PathScores:
    """Scores of all items by what a model says of the branches that lead to them. Implements
    `HistoryScores`."""

    model: Any
    """See `models.id_tree`."""

    tree: IdTree
    paths: np.ndarray
    """(n, L) int64 nodes of each item, -1 padded."""

    vectors: np.ndarray
    """(N, d) float32."""

    known: np.ndarray
    """(N,) bool, False for nodes without a vector."""

    @classmethod
    def of(cls, parts: Parts) -> PathScores:
        """Gather the vectors of the nodes there are now."""
        model, table = parts.model, parts.table
        assert table is not None
        tree = IdTree.of(table)
        paths = tree.paths[key_of_items(table)]
        there, own = tree.within(model.tree), model.all_node_vectors()
        vectors, known = own[np.maximum(there, 0)], there >= 0
        later = np.flatnonzero(~known[last_nodes(paths)])
        if model.reads_text and len(later):
            leaves = last_nodes(paths)[later]
            texts = [parts.corpus[row].contents for row in later.tolist()]
            vectors[leaves], known[leaves] = model.vectors_of_texts(texts), True
        vectors[~known] = 0.0
        return cls(model, tree, paths, vectors, known)

    def __call__(self, histories: Sequence[np.ndarray]) -> ItemScores:
        """As `HistoryScores`: nothing is proposed where no item of a history has a vector."""
        length, leaves = self.model.length, last_nodes(self.paths)
        read = [history[self.known[leaves[history]]][-length:] for history in histories]
        asked = [at for at, history in enumerate(read) if len(history)]
        scores = np.full((len(histories), len(self.paths)), UNPROPOSED, np.float32)
        if asked:
            vectors = embedded_paths(self.paths, self.vectors)
            states = self.model.last_states(pack([read[at] for at in asked], length), vectors)
            scores[asked] = self.log_probabilities(states)[:, leaves]
        return ItemScores(scores, logits=True)

    def log_probabilities(self, states: np.ndarray) -> np.ndarray:
        """(q, d) states -> (q, N) float32 of every prefix; `UNPROPOSED` below a node without a vector."""
        found = np.full((len(states), len(self.tree)), UNPROPOSED, np.float32)
        for level in range(self.tree.depth):
            nodes = self.tree.nodes(level)
            scores = self.model.turned_states(states, level) @ self.vectors[nodes].T
            scores[:, ~self.known[nodes]] = UNPROPOSED
            found[:, nodes] = log_softmax_among(scores, self.tree.starts(level))
            if level:
                found[:, nodes] += found[:, self.tree.parent[nodes]]
        return found


def log_softmax_among(scores: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Logarithm of the softmax over each group of columns, whatever the others hold.

    Args:
        scores: (q, C) float; `UNPROPOSED` counts as nothing and stays.
        starts: (G + 1,) int64 ascending: group g has the columns from `starts[g]` to `starts[g + 1]`.

    >>> log_softmax_among(np.zeros((1, 3)), np.array([0, 2, 2, 3])).round(2).tolist()
    [[-0.69, -0.69, 0.0]]
    """
    sizes = np.diff(starts)
    filled = starts[:-1][sizes > 0]
    highest = np.maximum.reduceat(scores, filled, axis=1)
    highest = np.where(highest > UNPROPOSED, highest, 0.0)
    group = np.repeat(np.arange(len(filled)), sizes[sizes > 0])
    centred = scores - highest[:, group]
    sums = np.add.reduceat(np.exp(centred), filled, axis=1)
    found: np.ndarray = centred - np.log(np.where(sums > 0, sums, 1.0))[:, group]
    return found
