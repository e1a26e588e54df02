"""Term counts of documents that came after an index was built, scored as the index scores its own.

Lives in memory and takes no time to grow: writing an index anew costs a hundred times what counting the
words of one document does. Knows words and numbers only.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tantivy

from retrograd.ops.words import utf8


class LaterTerms:
    """Grows only: documents that leave are left out by whoever looks, so a view taken earlier stays true.

    Args:
        k1, b: constants of BM25.
        mean_length: terms of a document on average, which stays what it was.
    """

    def __init__(self, analyzer: tantivy.TextAnalyzer, *, k1: float, b: float, mean_length: float) -> None:
        self._analyzer, self._k1, self._b, self._mean = analyzer, k1, b, max(mean_length, 1e-9)
        self._slot_of: dict[int, int] = {}
        self._terms: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self._spread: list[float] = []

    def seen(self, places: Sequence[int], texts: Sequence[str], rows: np.ndarray) -> Seen:
        """A view of some documents; those met for the first time are counted.

        Args:
            places: a number for each that no other document ever has.
            texts: what each says.
            rows: (m,) int64 numbers to answer with.
        """
        for place, text in zip(places, texts, strict=True):
            if place not in self._slot_of:
                counts = Counter(self._analyzer.analyze(utf8(text)))
                self._slot_of[place] = len(self._spread)
                length = stored_length(counts.total())
                for term, count in counts.items():
                    self._terms[term].append((len(self._spread), count))
                self._spread.append(self._k1 * (1 - self._b + self._b * length / self._mean))
        row_of = np.full(len(self._spread), -1, np.int64)
        row_of[[self._slot_of[place] for place in places]] = rows
        return Seen(row_of, self._terms, np.array(self._spread), 1 + self._k1)


@dataclass(frozen=True, eq=False)
class Seen:
    """The documents of one moment."""

    rows: np.ndarray
    """(slots,) int64, -1 where the document is not there."""

    terms: Mapping[str, Sequence[tuple[int, int]]]
    """Term -> (slot, count), slots ascending; may hold slots of a later moment."""

    spread: np.ndarray
    """(slots,) float64: what the count of a term is held against."""

    scale: float

    @property
    def num_documents(self) -> int:
        """How many are there."""
        return int((self.rows >= 0).sum())

    def frequency(self, term: str) -> int:
        """In how many of them a term stands."""
        return len(self._postings(term))

    def scores(self, weights: Mapping[str, float]) -> list[tuple[int, float]]:
        """(row, score) of every document that has one of the terms, in no particular order."""
        total = np.zeros(len(self.rows), np.float32)
        for term, weight in weights.items():
            slots, counts = self._postings(term).T
            total[slots] += (weight * self.scale * counts / (counts + self.spread[slots])).astype(np.float32)
        found = np.flatnonzero(total)
        return list(zip(self.rows[found].tolist(), total[found].tolist(), strict=True))

    def _postings(self, term: str) -> np.ndarray:
        """(entries, 2) int64 slots and counts of the documents that are there."""
        entries = np.array(self.terms.get(term, ()), np.int64).reshape(-1, 2)
        entries = entries[: np.searchsorted(entries[:, 0], len(self.rows))]
        there: np.ndarray = entries[self.rows[entries[:, 0]] >= 0]
        return there


def stored_length(length: int) -> int:
    """A number of terms as one byte holds it: exact up to 40, then four significant bits above 24.

    >>> [stored_length(length) for length in (7, 40, 41, 100)]
    [7, 40, 40, 96]
    """
    above = length - 24
    shift = max(0, above.bit_length() - 4) if above > 0 else 0
    return length if above <= 0 else 24 + ((above >> shift) << shift)
