"""What a beam kept, for whoever wants to see it: listening costs a search nothing where nobody does.

Joins searchers, however deep they are wrapped, to the explanations of a server. It changes no answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from retrograd.search.beam import BeamResult
from retrograd.search.resolve import Resolver


class Kept(NamedTuple):
    """The complete keys of one round of one beam search."""

    resolver: Resolver
    result: BeamResult


class KeptKey(NamedTuple):
    """One key that a search kept to its end."""

    path: tuple[int, ...]
    score: float
    documents: tuple[str, ...]
    """All that it names and that may be answered."""


_listener: ContextVar[list[Kept] | None] = ContextVar("_listener", default=None)


@contextmanager
def listening() -> Iterator[list[Kept]]:
    """Collects, in order, what the searches of this thread keep while inside."""
    heard: list[Kept] = []
    token = _listener.set(heard)
    try:
        yield heard
    finally:
        _listener.reset(token)


def tell(resolver: Resolver, result: BeamResult) -> None:
    """What a searcher says after each round of its beam."""
    heard = _listener.get()
    if heard is not None:
        heard.append(Kept(resolver, result))


def kept_keys(kept: Kept, query: int = 0) -> list[KeptKey]:
    """The keys of one query of a round, best first, those included whose documents no answer shows."""
    resolver, result = kept
    columns = (result.keys[query], result.scores[query], result.paths[query])
    found = []
    for key, score, path in zip(*(column.tolist() for column in columns), strict=True):
        if key >= 0:
            rows = [row for row, _ in resolver.documents([key], len(resolver.table.document_ids))]
            documents = tuple(resolver.table.document_ids[row] for row in rows)
            found.append(KeptKey(tuple(token for token in path if token >= 0), score, documents))
    return found
