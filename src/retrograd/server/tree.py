"""The id tree as a reader walks it: what follows a prefix, with typical words and a few documents.

Knows the table and the corpus; it asks no model. What was computed for a prefix is kept as long as the
generation it belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from retrograd.docid_table import DocidTable
from retrograd.docids.tree import TypicalTerms, children_of, documents_below
from retrograd.errors import InputError
from retrograd.server.refusals import RefusedError
from retrograd.types import Corpus

MOST_LISTED = 20
MOST_EXAMPLES = 3
MOST_CHILDREN = 1000
MOST_KEPT = 256
"""Prefixes whose branches are remembered."""


class Explorer:
    """One generation's tree. Used from any thread; at worst something is computed twice."""

    def __init__(self, table: DocidTable, corpus: Corpus) -> None:
        self._table, self._corpus = table, corpus
        self._terms = TypicalTerms(table, corpus)
        self._kept: dict[tuple[int, ...], dict[str, Any]] = {}

    def branch(self, prefix: Sequence[int]) -> dict[str, Any]:
        """The branch as JSON.

        Raises:
            RefusedError: no docid begins so.
        """
        key = tuple(prefix)
        if key not in self._kept:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            try:
                self._kept[key] = self._branch(key)
            except InputError:
                raise RefusedError(404, "no docid begins with this prefix", code="no_prefix") from None
        return self._kept[key]

    def _branch(self, prefix: tuple[int, ...]) -> dict[str, Any]:
        below = documents_below(self._table, prefix)
        children = children_of(self._table, prefix)[:MOST_CHILDREN]
        terms = self._terms.children(prefix)
        return {
            "prefix": list(prefix),
            "label": self._table.describe(prefix),
            "documents": len(below),
            "children": [
                {
                    "token": child.token,
                    "label": child.label,
                    "documents": child.documents,
                    "leaf": child.leaf,
                    "terms": list(terms.get(child.token, ())),
                    "examples": self._listed(
                        documents_below(self._table, (*prefix, child.token), MOST_EXAMPLES).tolist()
                    ),
                }
                for child in children
            ],
            "listed": self._listed(below[:MOST_LISTED].tolist()),
        }

    def _listed(self, rows: Sequence[int]) -> list[dict[str, str]]:
        documents = (self._corpus[self._corpus.row_of[self._table.document_ids[row]]] for row in rows)
        return [{"id": document.id, "title": document.title} for document in documents]


def prefix_of(text: str) -> list[int]:
    """`3-17` as tokens; "" is the root.

    Raises:
        RefusedError: it is not numbers joined by `-`.

    >>> prefix_of("3-17")
    [3, 17]
    """
    parts = text.split("-") if text else []
    if not all(part.isascii() and part.isdigit() and len(part) <= 9 for part in parts):
        raise RefusedError(422, "prefix: write tokens joined by hyphens, such as 3-17")
    return [int(part) for part in parts]
