"""Random digit strings: ids with no meaning, the yardstick for what structure is worth.

Tay et al., 2022 (arXiv 2202.06991), section 3.2, "naively structured string identifiers".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from retrograd.docid_table import DocidTable
from retrograd.docids.append import append_keys
from retrograd.docids.inputs import DocidInputs
from retrograd.errors import InputError

LARGEST_SPACE = 2**62
"""Strings are drawn as int64 numbers."""

SLACK = 10
"""Possible strings per document when the length is chosen here."""


@dataclass(frozen=True, kw_only=True)
class RandomStrings:
    """A distinct random string of equal length for each document."""

    alphabet: int = 10
    """Digits to choose from at each place."""

    length: int = 0
    """Digits per string; 0 takes the fewest that leave ten possible strings per document."""

    def __post_init__(self) -> None:
        if self.alphabet < 2 or self.length < 0:
            raise ValueError(
                f"alphabet={self.alphabet} must be at least 2 and length={self.length} at least 0"
            )
        if self.alphabet**self.length > LARGEST_SPACE:
            raise ValueError(
                f"{self.alphabet}**{self.length} strings are more than 2**62; shorten the strings"
            )

    def assign(self, inputs: DocidInputs) -> DocidTable:
        """Strings drawn without replacement.

        Raises:
            InputError: fewer strings than documents.
        """
        count = len(inputs.corpus)
        sizes = (self.alphabet,) * (self.length or self._fitting_length(count))
        if math.prod(sizes) < count:
            raise InputError(
                f"{len(sizes)} digits make {math.prod(sizes)} strings for {count} documents; raise length"
            )
        keys = _draw(sizes, np.empty(0, np.int64), count, np.random.default_rng([inputs.seed, 0]))
        return DocidTable.from_keys(keys, np.arange(count), inputs.corpus.ids, level_sizes=sizes)

    def _fitting_length(self, count: int) -> int:
        length = 1
        while self.alphabet**length < SLACK * count:
            length += 1
        return length

    def insert(self, table: DocidTable, inputs: DocidInputs) -> DocidTable:
        """Strings not in use; where too few are left, the last place gets more digits."""
        there, count = len(table.document_ids), len(inputs.corpus)
        *head, last = table.level_sizes
        sizes = (*head, max(last, -(-(len(table) + count) // math.prod(head))))
        used = np.ravel_multi_index(tuple(table.padded[table.order].T), sizes)
        keys = _draw(sizes, used, count, np.random.default_rng([inputs.seed, there]))
        return append_keys(table, keys, inputs.corpus.ids)


def _draw(sizes: tuple[int, ...], used: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, len(sizes)) distinct random strings whose numbers are not in `used` (sorted).

    The r-th free number is r plus the used numbers before it, so nothing is drawn twice.
    """
    free = rng.choice(math.prod(sizes) - len(used), size=count, replace=False)
    before = np.searchsorted(used - np.arange(len(used)), free, side="right")
    return np.stack(np.unravel_index(free + before, sizes), axis=1)
