"""Which key names which document: the one thing docid schemes write and decoders read.

A key is a ragged row of tokens. The table is a relation between keys and documents, so that
several documents may share a key (titles, quantised vectors) and one document may own several
(multi-view ids). It knows neither text nor models nor the trie that is built from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

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
        lengths = np.diff(self.offsets)
        if len(lengths) == 0 or lengths.min() < 1:
            raise InputError("a docid table needs at least one key and every key at least one token")
        if lengths.max() > len(self.level_sizes):
            raise InputError(f"a key has {lengths.max()} tokens but there are {len(self.level_sizes)} levels")
        if self.shared_vocabulary and len(set(self.level_sizes)) > 1:
            raise InputError("a shared vocabulary has one size, the same at each level")
        limit = np.asarray(self.level_sizes, np.int64)[self.depth_of_token]
        outside = (self.tokens < 0) | (self.tokens >= limit)
        if outside.any():
            key = int(np.searchsorted(self.offsets, np.flatnonzero(outside)[0], side="right") - 1)
            raise InputError(f"key {key} {self.key(key)} leaves its vocabulary {self.level_sizes}")
        self._check_prefix_free()
        if len(self.pairs) and (
            self.pairs.min() < 0
            or self.pairs[:, 0].max() >= len(lengths)
            or self.pairs[:, 1].max() >= len(self.document_ids)
        ):
            raise InputError("a (key, document) pair points outside the table")

    def _check_prefix_free(self) -> None:
        padded, order = self.padded, self.order
        before, after = padded[order[:-1]], padded[order[1:]]
        clash = ((before == after) | (before < 0)).all(axis=1)  # -1 pads, so a prefix sorts first
        if clash.any():
            at = int(np.flatnonzero(clash)[0])
            one, two = int(order[at]), int(order[at + 1])
            kind = "equals" if (padded[one] == padded[two]).all() else "is a prefix of"
            raise InputError(
                f"key {one} {self.key(one)} {kind} key {two} {self.key(two)}; "
                "apply a collision policy or end keys with a terminator"
            )

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
    def depth_of_token(self) -> np.ndarray:
        """(tokens,) int64: at which depth each flat token stands."""
        lengths = np.diff(self.offsets)
        depths: np.ndarray = np.arange(len(self.tokens)) - np.repeat(self.offsets[:-1], lengths)
        return depths

    @cached_property
    def padded(self) -> np.ndarray:
        """(keys, depth) int64, short keys padded with -1."""
        out = np.full((len(self), self.depth), -1, np.int64)
        out[np.repeat(np.arange(len(self)), np.diff(self.offsets)), self.depth_of_token] = self.tokens
        return out

    @cached_property
    def order(self) -> np.ndarray:
        """(keys,) int64: key rows sorted by their tokens, so that the keys of a prefix stand together."""
        rows: np.ndarray = np.lexsort(self.padded.T[::-1])
        return rows

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

    def describe(self, path: Sequence[int]) -> str:
        """A key or prefix as a person reads it.

        >>> DocidTable.from_keys([[3, 1]], [0], ["a"], level_sizes=(4, 2)).describe([3, 1])
        '3-1'
        """
        if self.token_names:
            return "".join(self.token_names[token] for token in path).replace("▁", " ").strip()
        return "-".join(str(token) for token in path)
