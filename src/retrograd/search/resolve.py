"""Keys to documents: what a beam spelt, as the documents it names.

Knows the docid table; neither models nor texts. A key that names several documents expands in the
order of the table; a document reached by several keys counts once, with its best.
"""

from __future__ import annotations

import numpy as np

from retrograd.docid_table import DocidTable
from retrograd.types import Hit


class Resolver:
    """Expands ranked keys. Holds the table's relation as one slice per key.

    Args:
        allowed: (documents,) bool; the others are never answered, whatever key names them.
    """

    def __init__(self, table: DocidTable, allowed: np.ndarray | None = None) -> None:
        pairs = table.pairs if allowed is None else table.pairs[allowed[table.pairs[:, 1]]]
        self.table = table
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(pairs[:, 0], minlength=len(table)))])
        self._documents = np.ascontiguousarray(pairs[:, 1])
        self.num_reachable = int(np.count_nonzero(np.bincount(self._documents)))
        """Documents that some key names."""

    def documents(self, keys: list[int], limit: int) -> list[tuple[int, int]]:
        """The first `limit` (document row, place in `keys`) of ranked keys; a key of -1 names nothing.

        >>> table = DocidTable.from_keys(
        ...     [[0], [0], [1], [1]], [0, 2, 1, 2], ["a", "b", "c"], level_sizes=(2,)
        ... )
        >>> Resolver(table).documents([1, 0], 3)
        [(1, 0), (2, 0), (0, 1)]
        """
        found: dict[int, int] = {}
        for place, key in enumerate(keys):
            if key < 0:
                continue
            for document in self._documents[self._starts[key] : self._starts[key + 1]].tolist():
                found.setdefault(document, place)
            if len(found) >= limit:
                break
        return list(found.items())[:limit]

    def hits(
        self,
        keys: list[int],
        scores: list[float],
        paths: list[list[int]],
        steps: list[list[float]],
        limit: int,
    ) -> tuple[Hit, ...]:
        """The same as `Hit`s; one query's rows of a `beam.BeamResult`, padding included."""
        return tuple(
            self.hit(document, scores[place], paths[place], steps[place])
            for document, place in self.documents(keys, limit)
        )

    def hit(self, document: int, score: float, path: list[int], steps: list[float]) -> Hit:
        """One document row as an answer; path and steps may be padded, the path with -1."""
        length = path.index(-1) if -1 in path else len(path)
        return Hit(self.table.document_ids[document], score, tuple(path[:length]), tuple(steps[:length]))
