"""A trie whose keys come and go: a large one that stays as it is, what joined beside it, marks on what left.

Every change makes a new value and shares the large trie with the one before, so that whoever walks the old
one goes on undisturbed. When enough has changed, both parts become one large trie again. Knows keys and the
numbers they were given; never documents, scores or models.
Shapes: n keys and M nodes of the large trie, m keys that joined, of which A nodes of the large trie are the
points where they leave it; N nodes of both together; L levels, R rows, V tokens of the largest level.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from retrograd.constraints.csr_trie import CsrTrie
from retrograd.constraints.protocol import Children, follow, mask_of
from retrograd.errors import InputError

WORN = 0.1
"""Share of the keys of the large trie; with more that joined or left, both become one."""

WORN_AT_LEAST = 4096
"""Fewer changed keys than this never make it worth that."""


@dataclass(frozen=True, eq=False)
class LiveTrie:
    """Implements `Constraint`; a state is a node number, those of the large trie first.

    >>> trie = LiveTrie.of(np.array([[0, 1], [2, 0]]), np.array([7, 8]), level_sizes=(3, 2))
    >>> trie = trie.changed(joined=np.array([[0, 0]]), numbers=np.array([9]), gone=np.array([[2, 0]]))
    >>> children = trie.children(trie.start(1))
    >>> children.token.tolist(), trie.key(trie.children(children.state).state).tolist()
    ([0], [9, 7])
    """

    base: CsrTrie
    level_sizes: tuple[int, ...]
    numbers: np.ndarray
    """(n + m,) int64: the number of each key, those that joined behind the others; -1 where it left."""

    joined: np.ndarray
    """(m, L) int64: keys that the large trie does not have, in lexicographic order, padded with -1."""

    graft: CsrTrie | None = None
    """Below its root the A points, named by their nodes of the large trie; below each what joined there.
    Its keys count on behind those of the large trie. None where nothing joined."""

    live: Tensor | None = None
    """(M,) bool: nodes of the large trie on the way to a key that is there; None where none has left."""

    key_of_node: Tensor | None = None
    """(M,) int32 in the place of the large trie's, where a key begins or ends where another one did."""

    @classmethod
    def of(cls, keys: np.ndarray, numbers: np.ndarray, level_sizes: tuple[int, ...]) -> LiveTrie:
        """A large trie of keys and nothing beside it.

        Args:
            keys: (n, L) int64, padded with -1; at least one, none twice or a prefix of another.
            numbers: (n,) int64, at least 0, each once.
        """
        return replace(
            cls.on(CsrTrie.from_keys(keys, level_sizes), level_sizes), numbers=np.array(numbers, np.int64)
        )

    @classmethod
    def on(cls, base: CsrTrie, level_sizes: tuple[int, ...]) -> LiveTrie:
        """The same of a trie that is there, whose keys keep their numbers."""
        return cls(base, level_sizes, np.arange(len(base.leaves)), np.zeros((0, len(level_sizes)), np.int64))

    def changed(
        self,
        *,
        joined: np.ndarray | None = None,
        numbers: np.ndarray | None = None,
        gone: np.ndarray | None = None,
        level_sizes: tuple[int, ...] | None = None,
        worn: float = WORN,
        worn_at_least: int = WORN_AT_LEAST,
    ) -> LiveTrie:
        """The trie after keys left and others joined; a key that leaves may join again in the same call.

        Takes time in what has changed since the large trie was made, and a copy of flat arrays; once that
        is worth it, the large trie is made anew.

        Args:
            joined: (j, L) int64 keys, padded with -1.
            numbers: (j,) int64, at least 0, of those.
            gone: (g, L) int64 keys, padded with -1.
            level_sizes: of the tokens afterwards; as they are by default.

        Raises:
            InputError: a key to join is there, is a prefix of one or has one as prefix; one to go is not.
        """
        size = len(self.base.leaves)
        own, beside, beside_numbers = self.numbers[:size], self.joined, self.numbers[size:]
        if gone is not None and len(gone):
            slot = self._slots(gone)
            if (slot < 0).any() or len(np.unique(slot)) < len(slot):
                raise InputError("a key that is to leave the trie is not in it, or is named twice")
            own = own.copy()
            own[slot[slot < size]] = -1
            stays = np.ones(len(beside), bool)
            stays[slot[slot >= size] - size] = False
            beside, beside_numbers = beside[stays], beside_numbers[stays]
        if joined is not None and len(joined):
            assert numbers is not None, "every key has a number"
            again = self._slots_of_base(joined)
            known = again >= 0
            if (own[again[known]] >= 0).any() or len(np.unique(again[known])) < known.sum():
                raise InputError("a key that is to join the trie is in it already")
            own = own.copy()
            own[again[known]] = numbers[known]
            beside = np.concatenate([beside, joined[~known]])
            beside_numbers = np.concatenate([beside_numbers, numbers[~known]])
            order = np.lexsort(beside.T[::-1])
            beside, beside_numbers = beside[order], beside_numbers[order]
        made = _grafted(self.base, level_sizes or self.level_sizes, own, beside, beside_numbers)
        away = int((own < 0).sum()) + len(beside)
        return made.merged() if away >= worn_at_least and away > worn * size else made

    def merged(self) -> LiveTrie:
        """The same keys as one large trie; the trie itself where none is left."""
        there = self.numbers >= 0
        if not there.any():
            return self
        keys = np.concatenate([self.base.keys(), self.joined])
        return LiveTrie.of(keys[there], self.numbers[there], self.level_sizes)

    def renumbered(self, numbers: np.ndarray) -> LiveTrie:
        """The same keys under other numbers, (n + m,) as in `numbers`."""
        return replace(self, numbers=numbers)

    def _slots_of_base(self, keys: np.ndarray) -> np.ndarray:
        """Row of each key in the large trie, whether it is there now or has left; -1 where it never was."""
        node, depth = self.base.walk(keys)
        ends = depth == (keys >= 0).sum(axis=1)
        return np.where(ends, self.base.key_of_node.numpy()[node], -1)

    def _slots(self, keys: np.ndarray) -> np.ndarray:
        """Place of each key in `numbers`, -1 where it is not there now."""
        slot = self._slots_of_base(keys)
        if len(self.joined):
            beside = np.concatenate([self.joined, keys])
            _, kind = np.unique(beside, axis=0, return_inverse=True)
            kind = kind.reshape(-1)
            place = np.full(len(beside), -1, np.int64)
            place[kind[: len(self.joined)]] = np.arange(len(self.joined))
            own = place[kind[len(self.joined) :]]
            slot = np.where(own >= 0, own + len(self.base.leaves), slot)
        return np.where(self.numbers[slot] >= 0, slot, -1)

    @property
    def num_nodes(self) -> int:
        """N, the root included."""
        return self.base.num_nodes + (0 if self.graft is None else self.graft.num_nodes - 1 - self.num_points)

    @property
    def num_points(self) -> int:
        """A."""
        return 0 if self.graft is None else self.graft.level_start[2] - 1

    @property
    def num_bytes(self) -> int:
        """Memory of the arrays; what changes share is counted once for each."""
        more = [array.nbytes for array in (self.live, self.key_of_node) if array is not None]
        graft = 0 if self.graft is None else self.graft.num_bytes
        return self.base.num_bytes + graft + self.numbers.nbytes + self.joined.nbytes + sum(more)

    @property
    def vocab(self) -> int:
        """V."""
        return max(self.level_sizes)

    @property
    def token(self) -> Tensor:
        """Tokens of the large trie; its device is the trie's."""
        return self.base.token

    @cached_property
    def parent(self) -> Tensor:
        """(N,) int64: the node above; the root is its own."""
        if self.graft is None:
            return self.base.parent
        above = self.graft.parent[1 + self.num_points :]
        points = self.graft.token.long()[above.clamp(max=self.num_points)]
        return torch.cat(
            [self.base.parent, torch.where(above > self.num_points, above + self._offset, points)]
        )

    @cached_property
    def node_of_key(self) -> Tensor:
        """(largest number + 1,) int64: the node at which the key of a number ends, 0 where there is none."""
        nodes = torch.arange(self.num_nodes)
        number = self.key(nodes)
        named = number >= 0
        out = torch.zeros(int(self.numbers.max(initial=-1)) + 1, dtype=torch.int64)
        out[number[named]] = nodes[named]
        return out

    @property
    def _offset(self) -> int:
        """From a node's number in the grafts to its number in the whole."""
        return self.base.num_nodes - 1 - self.num_points

    def start(self, batch: int) -> Tensor:
        """(batch,) int64, all at the root."""
        return self.base.start(batch)

    def children(self, state: Tensor) -> Children:
        """Edges of each node in both parts that lead to a key."""
        size = self.base.num_nodes
        rows = (state < size).nonzero().squeeze(1)
        own = self.base.children(state[rows])
        if self.live is not None:
            own = Children(*(column[self.live[own.state]] for column in own))
        own = own._replace(row=rows[own.row])
        if self.graft is None:
            return own
        points = self.graft.token[1 : 1 + self.num_points].long()
        place = torch.searchsorted(points, state).clamp(max=len(points) - 1)
        node = torch.where(state < size, place + 1, state - self._offset)
        rows = ((state >= size) | (points[place] == state)).nonzero().squeeze(1)
        new = self.graft.children(node[rows])
        row, token = torch.cat([own.row, rows[new.row]]), torch.cat([own.token, new.token])
        order = torch.argsort(row * self.vocab + token)
        after = torch.cat([own.state, new.state + self._offset])
        return Children(row[order], token[order], after[order])

    def allowed(self, state: Tensor) -> Tensor:
        """(R, V) bool."""
        return mask_of(self.children(state), len(state), self.vocab)

    def advance(self, state: Tensor, token: Tensor) -> Tensor:
        """(R,) nodes after one more token each."""
        return follow(self.children(state), token)

    def is_end(self, state: Tensor) -> Tensor:
        """(R,) bool: nodes at which a key ends that is there."""
        return self.key(state) >= 0

    def key(self, state: Tensor) -> Tensor:
        """(R,) int64 numbers of keys, -1 at other nodes."""
        own = self.base.key_of_node if self.key_of_node is None else self.key_of_node
        slot = own[state.clamp(max=len(own) - 1)].long()
        if self.graft is not None:
            beside = self.graft.key_of_node[(state - self._offset).clamp(min=0)].long()
            slot = torch.where(state < len(own), slot, beside)
        return self.number_of(slot)

    def number_of(self, slot: Tensor) -> Tensor:
        """Numbers of keys from their places in `numbers`, of any shape; -1 stays -1."""
        return torch.where(slot >= 0, torch.from_numpy(self.numbers)[slot], -1)


def _grafted(
    base: CsrTrie, level_sizes: tuple[int, ...], own: np.ndarray, joined: np.ndarray, numbers: np.ndarray
) -> LiveTrie:
    """The parts put together; `joined` in lexicographic order and none of it in `base`."""
    _check_prefix_free(joined)
    key_of_node = base.key_of_node.numpy()
    live = _live_nodes(base, own)
    made = LiveTrie(
        base, level_sizes, np.concatenate([own, numbers]), joined,
        live=None if live is None else torch.from_numpy(live),
    )  # fmt: skip
    if not len(joined):
        return made
    node, depth = base.walk(joined)
    ends = depth == (joined >= 0).sum(axis=1)
    above = key_of_node[node]
    if (own[above[above >= 0]] >= 0).any() or (ends & (live is None or live[node])).any():
        raise InputError(
            "a key that is to join the trie is a prefix of one that is there, or has one as prefix"
        )
    taken = np.flatnonzero(ends | (above >= 0))
    if len(taken):
        key_of_node = key_of_node.copy()
        key_of_node[node[taken]] = np.where(ends[taken], len(own) + taken, -1)
        made = replace(made, key_of_node=torch.from_numpy(key_of_node))
    if live is not None:
        way = np.unique(node)
        for _ in level_sizes:
            live[way] = True
            way = np.unique(base.parent.numpy()[way])
    return (
        made if ends.all() else replace(made, graft=_graft_of(base, level_sizes, joined, node, depth, ~ends))
    )


def _graft_of(
    base: CsrTrie,
    level_sizes: tuple[int, ...],
    joined: np.ndarray,
    node: np.ndarray,
    depth: np.ndarray,
    leaves: np.ndarray,
) -> CsrTrie:
    """The trie of the points and of what each key adds behind its own."""
    rows = np.flatnonzero(leaves)
    column = depth[rows, None] + np.arange(joined.shape[1])
    padded = np.concatenate([joined[rows], np.full((len(rows), joined.shape[1]), -1, np.int64)], axis=1)
    behind = np.take_along_axis(padded, column, axis=1)
    sizes = (base.num_nodes, *(max(level_sizes),) * joined.shape[1])
    graft = CsrTrie.from_keys(np.column_stack([node[rows], behind]), sizes)
    key = graft.key_of_node.numpy()
    slots = np.where(key >= 0, len(base.leaves) + rows[key], -1).astype(np.int32)
    # the points are no keys: every row has at least one token behind its own
    return replace(graft, key_of_node=torch.from_numpy(slots))


def _live_nodes(base: CsrTrie, own: np.ndarray) -> np.ndarray | None:
    """(M,) bool: nodes on the way to a key of the large trie that is there; None if all are."""
    left = np.flatnonzero(own < 0)
    if not len(left):
        return None
    live, edges, above = np.ones(base.num_nodes, bool), base.first_edge.numpy(), base.parent.numpy()
    nodes = base.node_of_key.numpy()[left]
    starts = np.asarray(base.level_start)
    for depth in range(len(starts) - 2, -1, -1):
        at = nodes[(nodes >= starts[depth]) & (nodes < starts[depth + 1])]
        dead = at[~_any_child(live, edges, at)]
        live[dead] = False
        if depth:
            nodes = np.unique(np.concatenate([nodes[nodes < starts[depth]], above[dead]]))
    return live


def _any_child(live: np.ndarray, edges: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """(nodes,) bool: whether one of its children is live."""
    first = edges[nodes].astype(np.int64)
    count = edges[nodes + 1].astype(np.int64) - first
    owner = np.repeat(np.arange(len(nodes)), count)
    child = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(len(owner)) + 1
    found = np.zeros(len(nodes), bool)
    found[owner[live[child]]] = True
    return found


def _check_prefix_free(keys: np.ndarray) -> None:
    """InputError where one of keys in lexicographic order is the next one or a prefix of it."""
    before, after = keys[:-1], keys[1:]
    if ((before == after) | (before < 0)).all(axis=1).any():
        raise InputError(
            "a key that is to join the trie is a prefix of one that is there, or has one as prefix"
        )
