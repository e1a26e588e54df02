"""A causal transformer whose items are the leaves of a tree, with one learnt vector per node.

The probability of an item is a product down its path, one softmax among siblings per level (Morin and Bengio
2005, equation 3; Mnih and Hinton 2008), so a model writes an id token by token and no token is compared with
more than its siblings. An item's vector is the sum of those on its path: items of one branch share what is
learnt of it. Reading is `sequential`'s.
Shapes: n items, K keys, N nodes without the root, L levels, B rows of a batch, P states, d width.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from retrograd.models.blocks import BlockShape
from retrograd.models.inference import device_of
from retrograd.models.sequential import TEXTS, ItemTransformer, ItemTransformerModel
from retrograd.types import State, TextEncoder


@dataclass(frozen=True, eq=False)
class IdTree:
    """All prefixes of the keys of a table, numbered level by level, siblings behind one another."""

    paths: np.ndarray
    """(K, L) int64 node of each prefix of some keys, the shortest first; -1 behind a key's end."""

    parent: np.ndarray
    """(N,) int64, -1 on the first level."""

    token: np.ndarray
    """(N,) int64, ascending among siblings."""

    level_start: tuple[int, ...]
    """(L + 1,) first node of each level, and N."""

    @classmethod
    def of(cls, table: DocidTable) -> IdTree:
        """The tree of a table's keys.

        >>> table = DocidTable.from_keys([[0, 1], [2], [0, 0]], [0, 1, 2], "abc", level_sizes=(3, 2))
        >>> tree = IdTree.of(table)
        >>> tree.paths.tolist(), tree.parent.tolist()
        ([[0, 2], [0, 3], [1, -1]], [-1, -1, 0, 0])
        """
        keys = table.padded
        paths, parents, tokens, starts = np.full(keys.shape, -1, np.int64), [], [], [0]
        above = np.full(len(keys), -1, np.int64)
        for level, column in enumerate(keys.T):
            rows = np.flatnonzero(column >= 0)
            nodes, member = np.unique(
                np.stack([above[rows], column[rows]], axis=1), axis=0, return_inverse=True
            )
            above = np.full(len(keys), -1, np.int64)
            above[rows] = starts[-1] + member.reshape(-1)
            paths[:, level] = above
            parents.append(nodes[:, 0])
            tokens.append(nodes[:, 1])
            starts.append(starts[-1] + len(nodes))
        return cls(paths, np.concatenate(parents), np.concatenate(tokens), tuple(starts))

    def __len__(self) -> int:
        return len(self.parent)

    @property
    def depth(self) -> int:
        """L."""
        return len(self.level_start) - 1

    def nodes(self, level: int) -> slice:
        """The nodes of one level, from 0."""
        return slice(self.level_start[level], self.level_start[level + 1])

    def starts(self, level: int) -> np.ndarray:
        """(parents + 1,) int64: where the children of each node of the level above begin, counted from the
        first node of this level; the root is the one parent of level 0."""
        parents = self.parent[self.nodes(level)]
        if level == 0:
            return np.array([0, len(parents)])
        above = np.arange(self.level_start[level - 1], self.level_start[level] + 1)
        return np.searchsorted(parents, above)

    def within(self, other: IdTree) -> np.ndarray:
        """(N,) int64: the node of the same prefix in another tree, -1 where it has none."""
        number = {
            (parent, token): node
            for node, (parent, token) in enumerate(
                zip(other.parent.tolist(), other.token.tolist(), strict=True)
            )
        }
        found: list[int] = []
        for parent, token in zip(self.parent.tolist(), self.token.tolist(), strict=True):
            there = found[parent] if parent >= 0 else -1
            known = parent < 0 or there >= 0
            found.append(number.get((there, token), -1) if known else -1)
        return np.array(found, np.int64)


def _tree_of(paths: Tensor, parent: Tensor, token: Tensor, level_start: Tensor) -> IdTree:
    """The tree that was stored.

    Raises:
        RuntimeError: it is none.
    """
    starts = tuple(level_start.tolist())
    parents, levels = parent.numpy(), np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    first = np.array([0, *starts])[levels]  # of the level above, 0 for the first
    sound = (
        starts[:1] == (0,)
        and min(np.diff(starts), default=0) > 0
        and starts[-1] == len(parents) == len(token)
        and paths.dim() == 2
        and paths.shape[1] == len(starts) - 1
        and int(paths.max()) < len(parents)
        and int(paths[:, 0].min()) >= 0
        and bool((np.diff(parents) >= 0).all())
        and bool((parents[levels == 0] == -1).all())
        and bool(((parents >= first) & (parents < np.array(starts)[levels]))[levels > 0].all())
    )
    if not sound:
        raise RuntimeError("the tree of ids that is stored with the weights is no tree")
    return IdTree(paths.numpy(), parents, token.numpy(), starts)


def key_of_items(table: DocidTable) -> np.ndarray:
    """(n,) int64: the first key of every document.

    Raises:
        InputError: a document has none.
    """
    keys, starts = table.by_document
    if (np.diff(starts) < 1).any():
        raise InputError("this model needs a key for every item; choose docids such as Quantised")
    found: np.ndarray = keys[starts[:-1]]
    return found


@dataclass(frozen=True, kw_only=True)
class IdTreeTransformer(ItemTransformer):
    """One vector per node of the id tree; a history is read by causal self-attention."""

    def build(self, state: State, table: DocidTable | None = None, seed: int = 0) -> IdTreeTransformerModel:
        """The network for a table's keys; the same seed gives the same weights.

        Raises:
            InputError: no docids, an item without one, or items that share one where text is read.
        """
        if table is None:
            raise InputError("this model writes docids; give the recipe a scheme of docids")
        if self.reads_text and len(table) < len(table.document_ids):
            raise InputError("items that share a docid cannot have a text each; set docids.collisions=suffix")
        encoder = self.reader_of(state)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return IdTreeTransformerModel(self._shape(), self.length, table, state.get(TEXTS), encoder)


class Siblings(NamedTuple):
    """What one level of the ids asks of some states: a choice among siblings."""

    states: Tensor
    """(P', d) of the states whose target reaches this level."""

    classes: Tensor
    """(C, d) vectors of the level's nodes, siblings behind one another."""

    starts: Tensor
    """(parents + 1,) int64 where those of each parent begin."""

    groups: Tensor
    """(P',) int64 parent of each target, counted on its level."""

    targets: Tensor
    """(P',) int64 node of each target, counted on this level."""


class IdTreeTransformerModel(ItemTransformerModel):
    """Packed histories to states; states to choices among siblings, level by level."""

    paths: Tensor
    """(n, L) int64 nodes of each item that training may name."""

    parent: Tensor
    token: Tensor
    level_start: Tensor

    def __init__(
        self,
        shape: BlockShape,
        length: int,
        table: DocidTable,
        texts: np.ndarray | None,
        encoder: TextEncoder | None,
    ) -> None:
        tree = IdTree.of(table)
        super().__init__(shape, length, len(tree), texts, encoder)  # its table has a row for every node
        self.tree, self.count = tree, len(table.document_ids)
        # kept with the weights: a table that changed since has another tree
        self.register_buffer("paths", torch.from_numpy(tree.paths[key_of_items(table)]))
        self.register_buffer("parent", torch.from_numpy(tree.parent))
        self.register_buffer("token", torch.from_numpy(tree.token))
        self.register_buffer("level_start", torch.tensor(tree.level_start))
        self._starts = [torch.from_numpy(tree.starts(level)) for level in range(tree.depth)]
        self.turns = nn.ModuleList(
            nn.Linear(shape.width, shape.width, bias=False) for _ in range(tree.depth - 1)
        )
        for turn in self.turns:
            assert isinstance(turn, nn.Linear)
            nn.init.zeros_(turn.weight)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """Take the tree that the weights were learnt for, whatever table the model was built with."""
        names = ("paths", "parent", "token", "level_start")
        stored = {name: state_dict[prefix + name] for name in names if prefix + name in state_dict}
        table = state_dict.get(prefix + "table")
        if table is not None and len(stored) == len(names):
            tree = _tree_of(**stored)
            if len(table) != len(tree) or len(tree.level_start) != len(self.turns) + 2:
                raise RuntimeError("the tree of ids does not fit the vectors of its nodes")
            self.table = nn.Parameter(torch.empty_like(table))
            for name, array in stored.items():
                setattr(self, name, torch.empty_like(array))
            self.tree, self.count = tree, len(stored["paths"])
            self._starts = [torch.from_numpy(tree.starts(level)) for level in range(tree.depth)]
        super()._load_from_state_dict(state_dict, prefix, *others)

    def item_vectors(self, items: Tensor | None = None) -> Tensor:
        """(..., d) of some items, (n, d) of all: what embeds them in a history."""
        paths = self.paths if items is None else F.embedding(items, self.paths)
        on_path = F.embedding(paths.clamp(min=0), self.table) * (paths >= 0).unsqueeze(-1)
        vectors = on_path.sum(dim=-2)
        if self.texts is None:
            return vectors
        read: Tensor = self.from_text(self.texts if items is None else F.embedding(items, self.texts))
        return vectors + read

    def node_vectors(self) -> Tensor:
        """(N, d): what states are compared with."""
        if self.texts is None:
            return self.table
        leaves = self.paths.gather(1, (self.paths >= 0).sum(dim=1, keepdim=True) - 1).squeeze(1)
        return self.table.index_add(0, leaves, self.from_text(self.texts))

    def grown(self, level_sizes: Sequence[int], own: Iterable[tuple[Sequence[int], State]] = ()) -> Self:
        """Itself, for any longer table: the nodes it learnt are told by their prefixes."""
        del level_sizes, own
        return self

    def turned(self, states: Tensor, level: int) -> Tensor:
        """(..., d) states as the nodes of a level, from 0, see them: `h + W silu(h)`, and `h` on the last."""
        if level >= len(self.turns):
            return states
        turned: Tensor = states + self.turns[level](F.silu(states))
        return turned

    def choices(self, states: Tensor, targets: Tensor) -> list[Siblings]:
        """What each level asks of (P, d) states whose items are (P,) `targets`."""
        vectors, paths = self.node_vectors(), self.paths[targets]
        asked, parents = [], paths.new_zeros(len(paths))
        for level, nodes in enumerate(paths.unbind(dim=1)):
            where = nodes >= 0
            first, after = self.tree.level_start[level : level + 2]
            asked.append(
                Siblings(
                    self.turned(states[where], level),
                    vectors[first:after],
                    self._starts[level].to(states.device),
                    parents[where],
                    nodes[where] - first,
                )
            )
            parents = nodes - first
        return asked

    def all_node_vectors(self) -> np.ndarray:
        """(N, d) float32."""
        with torch.inference_mode():
            return np.array(self.node_vectors().float().cpu().numpy())

    def turned_states(self, states: np.ndarray, level: int) -> np.ndarray:
        """`turned` of (q, d) float32."""
        with torch.inference_mode():
            turned = self.turned(torch.from_numpy(states).to(device_of(self)), level)
            return np.array(turned.float().cpu().numpy())


def embedded_paths(paths: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """(n, L) nodes, -1 padded, and (N, d) vectors -> (n, d): the sum along each path."""
    total: np.ndarray = (vectors[np.maximum(paths, 0)] * (paths >= 0)[..., None]).sum(axis=1)
    return total


def last_nodes(paths: np.ndarray) -> np.ndarray:
    """(n, L) nodes, -1 padded -> (n,) the leaf of each path."""
    leaves: np.ndarray = np.take_along_axis(paths, (paths >= 0).sum(axis=1, keepdims=True) - 1, 1)[:, 0]
    return leaves
