"""What is remembered of items: how often each was taken, and how strongly each leads to others.

Counts and arrays only; how they become an answer is for the searchers. Everything is kept by item id,
so that it still fits when items have come or gone. Sums are made in float64 in the order in which
things happened, so that equal data give equal bits.
Shapes: n items, m links.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from retrograd.artifacts import array_to_text, from_json, text_to_array
from retrograd.types import Corpus, History, State


@dataclass(frozen=True, eq=False)
class ItemLinks:
    """Weighted links from each item to others, in rows of a corpus."""

    starts: np.ndarray
    """(n + 1,) int64: the links of item i stand from `starts[i]` to `starts[i + 1]`."""

    targets: np.ndarray
    """(m,) int32 items, in the order in which each was first met after its source."""

    weights: np.ndarray
    """(m,) float64, positive."""

    @classmethod
    def from_events(cls, sources: np.ndarray, targets: np.ndarray, weights: np.ndarray, n: int) -> ItemLinks:
        """Add up events that happened one after the other.

        Args:
            sources: (events,) int64 item each leads from.
            targets: (events,) int64 item each leads to.
            weights: (events,) float64.
            n: number of items.
        """
        pairs, first, member = np.unique(sources * n + targets, return_index=True, return_inverse=True)
        order = np.lexsort((first, pairs // n))  # pairs come sorted; each source's by first meeting
        sums = np.bincount(member, weights, minlength=len(pairs))  # adds one after the other
        starts = np.searchsorted(pairs // n, np.arange(n + 1))
        return cls(starts, (pairs % n)[order].astype(np.int32), sums[order])

    def state(self, ids: Sequence[str]) -> State:
        """As arrays, with the id of each item."""
        arrays = {"starts": self.starts, "targets": self.targets, "weights": self.weights}
        return {"items": text_to_array(json.dumps(list(ids))), **arrays}

    @classmethod
    def from_state(cls, state: State, row_of: Mapping[str, int]) -> ItemLinks:
        """Undo `state` in the rows of another corpus; links of items that are gone are gone."""
        rows = _rows(state, row_of)
        sources = np.repeat(rows, np.diff(state["starts"]))
        targets = rows[state["targets"]]
        kept = (sources >= 0) & (targets >= 0)
        order = np.argsort(sources[kept], kind="stable")
        starts = np.searchsorted(sources[kept][order], np.arange(len(row_of) + 1))
        return cls(starts, targets[kept][order].astype(np.int32), state["weights"][kept][order])


def counts_state(counts: np.ndarray, ids: Sequence[str]) -> State:
    """Counts (n,) of items as arrays."""
    return {"items": text_to_array(json.dumps(list(ids))), "counts": counts}


def counts_from_state(state: State, row_of: Mapping[str, int]) -> np.ndarray:
    """Undo `counts_state` in the rows of another corpus: (n,), 0 for items it did not know."""
    rows = _rows(state, row_of)
    counts = np.zeros(len(row_of), state["counts"].dtype)
    counts[rows[rows >= 0]] = state["counts"][rows >= 0]
    return counts


def _rows(state: State, row_of: Mapping[str, int]) -> np.ndarray:
    ids = from_json(array_to_text(state["items"]))
    return np.fromiter((row_of.get(item, -1) for item in ids), np.int64, len(ids))


@dataclass(frozen=True, eq=False)
class PackedHistories:
    """All histories in one line of items."""

    items: np.ndarray
    """(taken,) int64 rows, each user's oldest first."""

    user: np.ndarray
    """(taken,) int64 whose history it is, ascending."""

    @classmethod
    def of(cls, histories: Sequence[History], corpus: Corpus) -> PackedHistories:
        """In the order given."""
        rows = [[corpus.row_of[item] for item in history.items] for history in histories]
        user = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
        return cls(np.asarray([item for row in rows for item in row], np.int64), user)


def transitions(packed: PackedHistories, n: int, *, window: int, backward: float) -> ItemLinks:
    """Count 1/d from each item to the one d places later, up to `window` places, and `backward`/d back.

    With `window=1, backward=0` the transition counts of a Markov chain; else the sequential rules of
    Ludewig and Jannach 2018, section 3.1.3, in both directions.
    """
    steps, order = [], []
    for distance in range(1, window + 1):
        earlier = packed.user[: max(0, len(packed.user) - distance)]
        from_at = np.flatnonzero(packed.user[distance:] == earlier)
        ends = packed.items[from_at], packed.items[from_at + distance]
        for direction, factor in enumerate((1.0, backward)):
            if factor > 0:
                source, target = ends[direction], ends[1 - direction]
                steps.append((source, target, np.full(len(source), factor / distance)))
                order.append((from_at * window + distance - 1) * 2 + direction)
    happened = np.argsort(np.concatenate(order))
    sources, targets, weights = (np.concatenate(column)[happened] for column in zip(*steps, strict=True))
    return ItemLinks.from_events(sources, targets, weights, n)


def taken_near(histories: Sequence[History], corpus: Corpus, *, window: int = 5) -> csr_array:
    """(n, n): how often, and how near, each item was taken with each other, `1/d` for d places, both ways."""
    packed, n = PackedHistories.of(histories, corpus), len(corpus)
    links = transitions(packed, n, window=window, backward=1.0)
    return csr_array((links.weights, links.targets, links.starts), shape=(n, n))


def co_occurrences(packed: PackedHistories, n: int) -> tuple[ItemLinks, np.ndarray]:
    """(cosine of the users of two items, an item with itself left out; users of each item (n,) int64).

    Deshpande and Karypis 2004, section 3.1.
    """
    users = int(packed.user[-1]) + 1
    seen = csr_array((np.ones(len(packed.items)), (packed.user, packed.items)), shape=(users, n))
    seen.data[:] = 1.0  # a repeated item counts once
    counts = np.bincount(seen.indices, minlength=n)
    both = csr_array(seen.T @ seen)  # whole numbers, so that equal cosines are equal to the last bit
    both.setdiag(0.0)
    both.eliminate_zeros()
    both.sort_indices()
    sources = np.repeat(np.arange(n), np.diff(both.indptr))
    cosines = both.data / np.sqrt(counts[sources] * counts[both.indices])
    return ItemLinks(both.indptr.astype(np.int64), both.indices.astype(np.int32), cosines), counts
