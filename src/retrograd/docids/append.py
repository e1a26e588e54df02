"""Adding keys to a finished table without moving anything that is in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from retrograd.types import State

Key = tuple[int, ...]


def append_keys(
    table: DocidTable,
    keys: Sequence[Sequence[int]] | np.ndarray,
    document_ids: Sequence[str],
    *,
    state: State | None = None,
) -> DocidTable:
    """One more document per key, behind those of the table.

    A key the table has already gets the document as one more owner; another key becomes a row
    behind the old ones. Levels grow as far as the keys need.

    Args:
        keys: one per document; -1 is padding and may stand anywhere.
        state: replaces the table's state where given.

    Raises:
        InputError: a document the table holds already, or a key that is a prefix of another.

    >>> table = DocidTable.from_keys([[1], [0]], [0, 1], ["a", "b"], level_sizes=(2,))
    >>> longer = append_keys(table, [[1], [2]], ["c", "d"])
    >>> longer.level_sizes, longer.documents_of(1).tolist(), longer.key(2)
    ((3,), [0, 2], (2,))
    """
    _refuse_known(table, document_ids)
    rows = [tuple(int(token) for token in key if token >= 0) for key in keys]
    count = len(table.document_ids)
    return table.changed(
        np.ones(len(table), bool),
        table.pairs,
        rows,
        np.arange(count, count + len(rows)),
        (*table.document_ids, *document_ids),
        level_sizes=sizes_for(rows, at_least=table.level_sizes, shared=table.shared_vocabulary),
        state=table.state if state is None else state,
    )


def sizes_for(
    keys: Sequence[Sequence[int]] | np.ndarray, *, at_least: Sequence[int] = (), shared: bool = False
) -> tuple[int, ...]:
    """The smallest vocabulary per level that holds all keys; one size for all levels when shared.

    >>> sizes_for([[3, 0], [1]]), sizes_for([[3, 0], [1]], at_least=(2, 2, 2), shared=True)
    ((4, 1), (4, 4, 4))
    """
    sizes = list(at_least)
    for key in keys:
        kept = [int(token) for token in key if token >= 0]
        sizes += [0] * (len(kept) - len(sizes))
        for depth, token in enumerate(kept):
            sizes[depth] = max(sizes[depth], token + 1)
    return (max(sizes),) * len(sizes) if shared and sizes else tuple(sizes)


def _refuse_known(table: DocidTable, document_ids: Sequence[str]) -> None:
    known = set(document_ids).intersection(table.document_ids)
    if known:
        raise InputError(f"document {min(known)!r} has a docid already; only new documents can be inserted")
