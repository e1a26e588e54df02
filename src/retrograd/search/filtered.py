"""Only documents with certain metadata: which ones a filter allows, and any searcher kept to those.

Knows metadata and rankings; neither models nor indexes. A filter never changes an order: it is the
searcher's own ranking without the documents that are not allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from retrograd.errors import InputError
from retrograd.types import Corpus, Hit, Query, Ranking, Searcher

OWN_FIELDS = ("id", "title")
"""What every document can be filtered by, whatever its metadata say under these names."""

NAMES_SHOWN = 20
"""Fields that a message lists at most."""

_GROWTH = 4
"""How many times deeper a searcher is asked again where too few of its answers are allowed."""


class Fields:
    """What the documents of a corpus can be filtered by; a field is indexed when it is first asked for.

    Two values are the same when they read the same, so that 2021, 2021.0 and "2021" are one, as are
    true and "true". A list matches by each of its members. Nested objects and null match nothing.

    >>> from retrograd.types import Document
    >>> fields = Fields(Corpus([Document("a", metadata={"year": 2021}), Document("b")]))
    >>> fields.allowed({"year": "2021"}).tolist(), fields.allowed({"id": ["a", "b"]}).tolist()
    ([True, False], [True, True])
    """

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._rows = {"id": {id: [row] for id, row in corpus.row_of.items()}}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every field that some document has, `OWN_FIELDS` first, then by name."""
        found = {str(name) for document in self._corpus for name in document.metadata}
        return (*OWN_FIELDS, *sorted(found.difference(OWN_FIELDS)))

    def allowed(self, where: Mapping[str, Any]) -> np.ndarray:
        """(documents,) bool: those that have, in every field of `where`, its value or one of its values.

        Raises:
            InputError: a field that no document has, or a value that is neither text, number nor bool.
        """
        mask = np.ones(len(self._corpus), bool)
        for name, wanted in where.items():
            rows_of = self._values(name)
            values = wanted if isinstance(wanted, list | tuple | set | frozenset) else [wanted]
            rows = [row for value in values for row in rows_of.get(_asked(name, value), ())]
            has_one = np.zeros(len(mask), bool)
            has_one[np.asarray(rows, np.int64)] = True
            mask &= has_one
        return mask

    def _values(self, name: str) -> dict[str, list[int]]:
        """Value -> rows of the documents that have it in the field."""
        if name not in self._rows:
            if name not in self.names:
                raise InputError(f"no document has the field {name!r:.60}; there are {self._shown()}")
            index: dict[str, list[int]] = {}
            for row, value in enumerate(self._column(name)):
                for member in value if isinstance(value, list | tuple) else (value,):
                    if (text := _readable(member)) is not None:
                        index.setdefault(text, []).append(row)
            self._rows[name] = index
        return self._rows[name]

    def _column(self, name: str) -> Iterable[Any]:
        if name in OWN_FIELDS:
            return (getattr(document, name) for document in self._corpus)
        return (document.metadata.get(name) for document in self._corpus)

    def _shown(self) -> str:
        more = len(self.names) - NAMES_SHOWN
        listed = ", ".join(f"{name:.40}" for name in self.names[:NAMES_SHOWN])
        return f"{listed} and {more} more" if more > 0 else listed


def _asked(name: str, value: Any) -> str:
    text = _readable(value)
    if text is None:
        raise InputError(f"filter {name!r:.60} must be text, a number, true or false, or a list of these")
    return text


def _readable(value: Any) -> str | None:
    """A scalar as it reads; None for what is none."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    if isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= 1024):
        return str(value)  # longer numbers could not be written out
    return value if isinstance(value, str) else None


def search_allowed(
    searcher: Searcher, queries: Sequence[Query], k: int, allowed: np.ndarray, row_of: Mapping[str, int]
) -> Ranking:
    """The `k` best allowed documents of each query, in the searcher's order.

    The searcher is asked for so many that `k` of them should be allowed, and for more where they are
    not, up to everything it finds. A searcher whose longer list begins with its shorter one answers
    exactly what its full ranking holds; a beam that grows with its list may find better ones on the way.

    Args:
        allowed: (documents,) bool by row.
        row_of: document id -> row.
    """
    num_allowed, num_documents = int(allowed.sum()), len(allowed)
    wanted = min(k, num_allowed)
    hits: list[tuple[Hit, ...]] = [()] * len(queries)
    pending = list(range(len(queries))) if wanted else []
    depth = max(k, -(-wanted * num_documents // max(num_allowed, 1)))
    while pending:
        depth = min(depth, num_documents)
        found = searcher.search([queries[at] for at in pending], depth).hits
        for at, answers in zip(pending, found, strict=True):
            hits[at] = tuple(hit for hit in answers if allowed[row_of[hit.document]])[:k]
        pending = [
            at
            for at, answers in zip(pending, found, strict=True)
            if len(hits[at]) < wanted and depth <= len(answers) < num_documents
        ]
        depth *= _GROWTH
    return Ranking(tuple(query.id for query in queries), tuple(hits))
