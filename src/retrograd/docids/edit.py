"""Documents out of a table and others in, each with keys that are known already.

Knows tables only; how a new document comes by its keys is a scheme's business.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retrograd.docid_table import DocidTable
from retrograd.docids.append import Key
from retrograd.types import State


def edited(
    table: DocidTable,
    rows: np.ndarray,
    document_ids: Sequence[str],
    *,
    joined: np.ndarray | None = None,
    keys: Sequence[Sequence[Key]] = (),
    level_sizes: Sequence[int] = (),
    state: State | None = None,
) -> DocidTable:
    """The table of another set of documents; keys that name nobody any more leave it.

    Args:
        rows: (documents,) int64 row of each of the table's documents afterwards, -1 where it goes.
        document_ids: of the documents afterwards.
        joined: (m,) int64 rows afterwards of documents that the table does not know.
        keys: the keys of each of those.
        level_sizes: afterwards; as they are by default.
        state: arrays of the scheme that are replaced.

    Raises:
        InputError: no key is left, or one is a prefix of another.

    >>> table = DocidTable.from_keys([[1], [0]], [0, 1], ["a", "b"], level_sizes=(3,))
    >>> other = edited(table, np.array([-1, 0]), ["b", "c"], joined=np.array([1]), keys=[[(2,)]])
    >>> [other.key(row) for row in range(len(other))], other.documents_of(1).tolist()
    ([(0,), (2,)], [1])
    """
    pairs = np.column_stack([table.pairs[:, 0], rows[table.pairs[:, 1]]])
    return table.changed(
        named(table, rows),
        pairs[pairs[:, 1] >= 0],
        [tuple(key) for own in keys for key in own],
        np.repeat(np.zeros(0, np.int64) if joined is None else joined, [len(own) for own in keys]),
        document_ids,
        level_sizes=level_sizes or table.level_sizes,
        state=table.state | (state or {}),
    )


def named(table: DocidTable, rows: np.ndarray) -> np.ndarray:
    """(keys,) bool: keys that name a document which stays; `rows` as in `edited`."""
    found = np.zeros(len(table), bool)
    found[table.pairs[rows[table.pairs[:, 1]] >= 0, 0]] = True
    return found
