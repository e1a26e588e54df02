"""Which key names which document: the one thing docid schemes write and decoders read.

A key is a ragged row of tokens. The table is a relation between keys and documents, so that
several documents may share a key (titles, quantised vectors) and one document may own several
(multi-view ids). It knows neither text nor models nor the trie that is built from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import zip_longest

import numpy as np

from retrograd.errors import InputError
from retrograd.types import State


@dataclass(frozen=True, eq=False)
class DocidTable:
    """Keys, documents, and which belong together.

    No key may be a prefix of another and no two keys may be equal: a decoder stops at a leaf.
    Documents that share a key share its one row through `pairs`.

    Raises:
        InputError: a token outside its level's vocabulary, an empty key, a duplicate key or a key
            that is a prefix of another (both are named), a pair that points nowhere.
    """

    tokens: np.ndarray
    """(tokens,) int32: all keys behind one another."""

    offsets: np.ndarray
    """(keys + 1,) int64: key `i` is `tokens[offsets[i]:offsets[i + 1]]`."""

    pairs: np.ndarray
    """(pairs, 2) int64 rows (key, document), sorted: the order in which a shared key expands."""

    document_ids: tuple[str, ...]
    """Row -> document id; the corpus order the table was made for."""

    level_sizes: tuple[int, ...]
    """Vocabulary size at each depth; as long as the longest key."""

    shared_vocabulary: bool = False
    """True: token `t` means the same at each depth (text). False: each depth has its own codebook."""

    token_names: tuple[str, ...] = ()
    """Printable form of a shared vocabulary's tokens; empty for codes."""

    state: State = field(default_factory=dict)
    """What the scheme needs to place a new document later (centroids, tokenizer). Decoders ignore it."""

    def __post_init__(self) -> None:
        self._check_tokens(0)
        self._check_prefix_free(np.arange(len(self) - 1))
        self._check_pairs()

    def _check_tokens(self, first: int) -> None:
        """Of the keys from row `first` on."""
        lengths = np.diff(self.offsets[first:])
        if len(self) == 0 or lengths.min(initial=1) < 1:
            raise InputError("a docid table needs at least one key and every key at least one token")
        if lengths.max(initial=0) > len(self.level_sizes):
            raise InputError(f"a key has {lengths.max()} tokens but there are {len(self.level_sizes)} levels")
        if self.shared_vocabulary and len(set(self.level_sizes)) > 1:
            raise InputError("a shared vocabulary has one size, the same at each level")
        start = self.offsets[first]
        tokens = self.tokens[start:]
        depth = np.arange(start, len(self.tokens)) - np.repeat(self.offsets[first:-1], lengths)
        outside = (tokens < 0) | (tokens >= np.asarray(self.level_sizes, np.int64)[depth])
        if outside.any():
            at = start + np.flatnonzero(outside)[0]
            key = int(np.searchsorted(self.offsets, at, side="right") - 1)
            raise InputError(f"key {key} {self.key(key)} leaves its vocabulary {self.level_sizes}")

    def _check_prefix_free(self, places: np.ndarray) -> None:
        """Of the keys at some places of `order`, each against the next."""
        before, after = (self.padded_keys(self.order[places + step]) for step in (0, 1))
        clash = ((before == after) | (before < 0)).all(axis=1)  # -1 pads, so a prefix sorts first
        if clash.any():
            at = int(np.flatnonzero(clash)[0])
            one, two = (int(self.order[places[at] + step]) for step in (0, 1))
            kind = "equals" if (before[at] == after[at]).all() else "is a prefix of"
            raise InputError(
                f"key {one} {self.key(one)} {kind} key {two} {self.key(two)}; "
                "apply a collision policy or end keys with a terminator"
            )

    def _check_pairs(self) -> None:
        if len(self.pairs) and (
            self.pairs.min() < 0
            or self.pairs[:, 0].max() >= len(self)
            or self.pairs[:, 1].max() >= len(self.document_ids)
        ):
            raise InputError("a (key, document) pair points outside the table")

    @classmethod
    def from_keys(
        cls,
        keys: Sequence[Sequence[int]] | np.ndarray,
        documents: Sequence[int] | np.ndarray,
        document_ids: Sequence[str],
        *,
        level_sizes: Sequence[int],
        shared_vocabulary: bool = False,
        token_names: Sequence[str] = (),
        state: State | None = None,
    ) -> DocidTable:
        """One entry per (key, document) pair; equal keys are merged into one row.

        Args:
            keys: one key per pair; a rectangular array may pad short keys with -1.
            documents: the document row each key names.

        >>> table = DocidTable.from_keys(
        ...     [[0, 1], [0, 1], [2]], [0, 1, 2], ["a", "b", "c"], level_sizes=(3, 2)
        ... )
        >>> len(table), table.documents_of(0).tolist(), table.key(1)
        (2, [0, 1], (2,))
        """
        rows = [tuple(int(t) for t in key if t >= 0) for key in keys]
        unique = {key: row for row, key in enumerate(sorted(set(rows)))}
        pairs = sorted({(unique[key], int(doc)) for key, doc in zip(rows, documents, strict=True)})
        lengths = [len(key) for key in unique]
        return cls(
            tokens=np.asarray([t for key in unique for t in key], np.int32),
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            pairs=np.asarray(pairs, np.int64).reshape(-1, 2),
            document_ids=tuple(document_ids),
            level_sizes=tuple(int(size) for size in level_sizes),
            shared_vocabulary=shared_vocabulary,
            token_names=tuple(token_names),
            state=state or {},
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def depth(self) -> int:
        """Tokens of the longest key the vocabulary allows."""
        return len(self.level_sizes)

    @cached_property
    def padded(self) -> np.ndarray:
        """(keys, depth) int64, short keys padded with -1."""
        return self.padded_keys(np.arange(len(self)))

    def padded_keys(self, rows: np.ndarray, width: int = 0) -> np.ndarray:
        """(n, depth) int64: some keys, padded with -1; (n, width) where that is more."""
        at = self.offsets[rows, None] + np.arange(max(self.depth, width))
        there = at < self.offsets[rows + 1, None]
        return np.where(there, self.tokens[np.minimum(at, len(self.tokens) - 1)], -1).astype(np.int64)

    @cached_property
    def order(self) -> np.ndarray:
        """(keys,) int64: key rows sorted by their tokens, so that the keys of a prefix stand together."""
        rows: np.ndarray = np.lexsort(self.padded.T[::-1])
        return rows

    def find(self, keys: np.ndarray) -> np.ndarray:
        """(n,) int64 rows of keys (n, any width), padded with -1; -1 where the table does not have one.

        >>> table = DocidTable.from_keys([[0, 1], [2]], [0, 1], ["a", "b"], level_sizes=(3, 2))
        >>> table.find(np.array([[2, -1], [0, 0]])).tolist()
        [1, -1]
        """
        wanted = _widened(keys, self.depth)
        rows = self.order[np.minimum(self._places(wanted), len(self) - 1)]
        return np.where((self.padded_keys(rows, wanted.shape[1]) == wanted).all(axis=1), rows, -1)

    def find_below(self, prefixes: np.ndarray) -> np.ndarray:
        """(n,) int64 rows of the keys that begin with one of the prefixes (m, l), sorted by their tokens.

        >>> table = DocidTable.from_keys([[0, 1], [0, 0], [2]], [0, 1, 2], "abc", level_sizes=(3, 2))
        >>> table.find_below(np.array([[0]])).tolist()
        [0, 1]
        """
        unique = np.unique(prefixes, axis=0)
        behind = np.insert(unique, unique.shape[1], np.iinfo(np.int64).max, axis=1)
        runs = zip(self._places(unique).tolist(), self._places(behind).tolist(), strict=True)
        return np.concatenate([self.order[:0], *(self.order[first:end] for first, end in runs)])

    def _places(self, keys: np.ndarray) -> np.ndarray:
        """(n,) int64: how many keys of `order` stand before each of `keys` (n, any width)."""
        wanted = _widened(keys, self.depth)
        low, high = np.zeros(len(keys), np.int64), np.full(len(keys), len(self.order))
        while (low < high).any():  # bisection, all keys at once
            middle = np.minimum((low + high) // 2, len(self.order) - 1)
            there = self.padded_keys(self.order[middle], wanted.shape[1])
            column = (there != wanted).argmax(axis=1)[:, None]  # the first that tells them apart
            smaller = np.take_along_axis(there, column, 1) < np.take_along_axis(wanted, column, 1)
            before = smaller[:, 0] & (low < high)
            low, high = np.where(before, middle + 1, low), np.where(before | (low >= high), high, middle)
        return low

    def changed(
        self,
        kept: np.ndarray,
        pairs: np.ndarray,
        keys: Sequence[tuple[int, ...]],
        documents: Sequence[int] | np.ndarray,
        document_ids: Sequence[str],
        *,
        level_sizes: Sequence[int],
        state: State,
    ) -> DocidTable:
        """The table after keys left and others came behind those that stay.

        Copies flat arrays and takes time in what comes: what stays is neither sorted nor checked again.

        Args:
            kept: (keys,) bool, which keys stay, in their order.
            pairs: (p, 2) int64 (key, document) of those: rows of keys as they are, of documents afterwards.
            keys: one for each further pair; one that stays gets one more owner.
            documents: the row afterwards that each of these names.
            document_ids: of the documents afterwards.

        Raises:
            InputError: as the table itself.
        """
        number, first = np.cumsum(kept) - 1, int(kept.sum())
        unique = list(dict.fromkeys(keys))
        given = np.full((len(unique), max([1, *map(len, unique)])), -1, np.int64)
        for at, key in enumerate(unique):
            given[at, : len(key)] = key
        row = self.find(given)
        is_new = (row < 0) | ~kept[row]  # a key that was freed and is taken again has left its row
        rows = np.where(is_new, first - 1 + np.cumsum(is_new), number[row])
        row_of = dict(zip(unique, rows.tolist(), strict=True))
        more = np.array([row_of[key] for key in keys], np.int64)
        lengths = np.diff(self.offsets)
        tokens = self.tokens if kept.all() else self.tokens[np.repeat(kept, lengths)]
        added = [key for key, new in zip(unique, is_new.tolist(), strict=True) if new]
        lengths = np.concatenate([lengths[kept], np.array([len(key) for key in added], np.int64)])
        word = np.concatenate([number[pairs[:, 0]], more]) * len(document_ids)
        word = np.sort(word + np.concatenate([pairs[:, 1], documents]).astype(np.int64), kind="stable")
        table = object.__new__(type(self))  # as its checks would begin from nothing
        vars(table).update({one.name: getattr(self, one.name) for one in fields(self)})
        vars(table).update(
            tokens=np.concatenate([tokens, np.array([t for key in added for t in key], np.int32)]),
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            pairs=np.column_stack(np.divmod(word, max(len(document_ids), 1))),
            document_ids=tuple(document_ids),
            level_sizes=tuple(level_sizes),
            state=state,
            order=number[self.order[kept[self.order]]],
        )
        less = any(new < old for new, old in zip_longest(level_sizes, self.level_sizes, fillvalue=0))
        table._check_tokens(0 if less else first)
        table._join(first, given[is_new])
        table._check_pairs()
        return table

    def _join(self, first: int, keys: np.ndarray) -> None:
        """Put keys (n, width), whose rows begin at `first`, into the order of the others."""
        by_tokens = np.lexsort(keys.T[::-1])
        places = self._places(keys[by_tokens])
        vars(self)["order"] = np.insert(self.order, places, first + by_tokens)
        places += np.arange(len(places))
        near = np.unique(np.concatenate([places - 1, places]))
        # what lies between two keys of an order begins as they both do, so a clash is one of neighbours
        self._check_prefix_free(near[(near >= 0) & (near < len(self) - 1)])

    def key(self, row: int) -> tuple[int, ...]:
        """The tokens of one key."""
        return tuple(self.tokens[self.offsets[row] : self.offsets[row + 1]].tolist())

    def documents_of(self, key: int) -> np.ndarray:
        """(n,) document rows a key names, in expansion order."""
        start, stop = np.searchsorted(self.pairs[:, 0], [key, key + 1])
        rows: np.ndarray = self.pairs[start:stop, 1]
        return rows

    @cached_property
    def by_document(self) -> tuple[np.ndarray, np.ndarray]:
        """(pairs,) key rows grouped by document, and (documents + 1,) where each group starts."""
        order = np.lexsort((self.pairs[:, 0], self.pairs[:, 1]))
        starts = np.searchsorted(self.pairs[order, 1], np.arange(len(self.document_ids) + 1))
        return self.pairs[order, 0], starts

    def keys_of(self, document: int) -> np.ndarray:
        """(n,) key rows that name a document; empty where it has none."""
        keys, starts = self.by_document
        rows: np.ndarray = keys[starts[document] : starts[document + 1]]
        return rows

    def keys_of_some(self, documents: Sequence[int] | np.ndarray) -> list[tuple[tuple[int, ...], ...]]:
        """The keys of each of a few documents, by row; one look at the pairs, where `keys_of` prepares many.

        >>> DocidTable.from_keys([[3], [1]], [1, 1], "ab", level_sizes=(4,)).keys_of_some([1, 0])
        [((1,), (3,)), ()]
        """
        asked = np.zeros(len(self.document_ids), bool)
        asked[np.asarray(documents, np.int64)] = True
        found: dict[int, list[int]] = {}
        for key, document in self.pairs[asked[self.pairs[:, 1]]].tolist():
            found.setdefault(document, []).append(key)
        return [tuple(self.key(key) for key in found.get(int(document), ())) for document in documents]

    def describe(self, path: Sequence[int]) -> str:
        """A key or prefix as a person reads it.

        >>> DocidTable.from_keys([[3, 1]], [0], ["a"], level_sizes=(4, 2)).describe([3, 1])
        '3-1'
        """
        if self.token_names:
            return "".join(self.token_names[token] for token in path).replace("▁", " ").strip()
        return "-".join(str(token) for token in path)


def _widened(keys: np.ndarray, width: int) -> np.ndarray:
    """Keys (n, any) with -1 behind them up to a width."""
    return np.pad(keys, ((0, 0), (0, max(width - keys.shape[1], 0))), constant_values=-1)
