"""Documents out of a table and others in, each with keys that are known already.

Knows tables only; how a new document comes by its keys is a scheme's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from retrograd.docid_table import DocidTable
from retrograd.docids.append import Key, rows_of
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
    pairs = pairs[pairs[:, 1] >= 0]
    kept = np.zeros(len(table), bool)
    kept[pairs[:, 0]] = True
    pairs[:, 0] = (np.cumsum(kept) - 1)[pairs[:, 0]]
    lengths = np.diff(table.offsets)
    tokens = table.tokens[np.repeat(kept, lengths)]
    offsets = np.concatenate([[0], np.cumsum(lengths[kept])]).astype(np.int64)
    new = [tuple(key) for own in keys for key in own]
    # a key that was freed and is taken again has left its row and stands behind the others
    place = (np.cumsum(kept) - 1).tolist()
    row_of = {key: place[row] for key, row in rows_of(table, new).items() if kept[row]} if new else {}
    added = [key for key in dict.fromkeys(new) if key not in row_of]
    row_of |= {key: int(kept.sum()) + at for at, key in enumerate(added)}
    documents = np.repeat(np.zeros(0, np.int64) if joined is None else joined, [len(own) for own in keys])
    more = np.column_stack([np.array([row_of[key] for key in new], np.int64), documents])
    pairs = np.concatenate([pairs, more.reshape(-1, 2)])
    return replace(
        table,
        tokens=np.concatenate([tokens, np.array([t for key in added for t in key], np.int32)]),
        offsets=np.concatenate(
            [offsets, offsets[-1] + np.cumsum([len(key) for key in added], dtype=np.int64)]
        ),
        pairs=pairs[np.lexsort(pairs.T[::-1])],
        document_ids=tuple(document_ids),
        level_sizes=tuple(level_sizes) or table.level_sizes,
        state=table.state | (state or {}),
    )
