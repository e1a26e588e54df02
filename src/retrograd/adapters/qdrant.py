"""A system's vectors in Qdrant: upload, follow changes, search there, with filters.

Queries are encoded here and documents found there. The same code speaks to `:memory:` and to a cluster
(`QdrantCollection.connect`). A point's id is the UUID5 of the document id, so that
whoever uploads the same document again replaces it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrograd.adapters.library import library
from retrograd.adapters.qdrant_filter import conditions
from retrograd.adapters.source import Source, blocks, current, document_vectors, keys_of, query_vectors
from retrograd.errors import InputError, StorageError
from retrograd.system import System
from retrograd.types import Hit, Query, Ranking

NAMESPACE = uuid.UUID("a2d6f0a4-9d0b-5f6e-8f43-6c1d0b7e52c9")
"""Of the point ids."""

_SPARE = 16
"""Points asked beyond k, so that documents with equal scores keep the order of the corpus."""


def point_id(document_id: str) -> str:
    """The UUID a document has as a point.

    >>> point_id("doc") == point_id("doc") != point_id("doc ")
    True
    """
    return str(uuid.uuid5(NAMESPACE, document_id))


@dataclass(frozen=True)
class Moved:
    """What a change did to a collection."""

    put: int
    deleted: int


class QdrantCollection:
    """One collection of one system's documents. The payload of a point: `id`, `title`, `text`, `metadata`
    (an object), `paths` (its docids as lists of tokens) and `labels` (the same as a person reads them)."""

    def __init__(self, client: Any, name: str, *, batch: int = 256) -> None:
        """
        Args:
            client: a `qdrant_client.QdrantClient`; see `connect`.
            batch: points or queries per request.
        """
        if batch < 1:
            raise InputError(f"batch={batch} must be at least 1")
        self.client, self.name, self._batch = client, name, batch
        self._models = library("qdrant_client.models", "qdrant")

    @classmethod
    def connect(
        cls,
        location: str,
        name: str,
        *,
        api_key: str | None = None,
        timeout_seconds: int = 60,
        batch: int = 256,
    ) -> QdrantCollection:
        """Open a collection; it need not exist yet.

        Args:
            location: `:memory:`, or the address of a server or cluster (`http://...`, `https://...`).
            api_key: of the cluster; never written anywhere.
        """
        client = library("qdrant_client", "qdrant").QdrantClient(
            location, api_key=api_key, timeout=timeout_seconds
        )
        return cls(client, name, batch=batch)

    def upload(self, source: Source) -> Moved:
        """Make the collection hold exactly the documents of a system, whatever it held before.

        Raises:
            InputError: the system has no vectors, or the collection has others.
            StorageError: Qdrant refused or did not answer; calling again continues.
        """
        system = current(source)
        vectors = document_vectors(system)
        with self._talking():
            self._ensure(vectors.shape[1])
            self._put(system, vectors, range(len(system.corpus)))
            wanted = {point_id(id) for id in system.corpus.ids}
            gone = [point for point in self._points() if point not in wanted]
            self._delete(gone)
        return Moved(len(system.corpus), len(gone))

    def follow(self, before: Source, after: Source) -> Moved:
        """Move a collection that holds `before` to `after`: only what differs travels.

        Raises:
            InputError, StorageError: as `upload`.
        """
        old, new = current(before), current(after)
        old_vectors, vectors = document_vectors(old), document_vectors(new)
        known = old.corpus.row_of
        same_space = old_vectors.shape[1] == vectors.shape[1]
        old_keys, keys = keys_of(old, old.corpus.ids), keys_of(new, new.corpus.ids)
        changed = [
            row
            for row, document in enumerate(new.corpus)
            if (at := known.get(document.id)) is None
            or old.corpus[at] != document
            or old_keys[at] != keys[row]
            or not same_space
            or not np.array_equal(old_vectors[at], vectors[row])
        ]
        gone = [point_id(id) for id in old.corpus.ids if id not in new.corpus.row_of]
        with self._talking():
            self._ensure(vectors.shape[1])
            self._delete(gone)
            self._put(new, vectors, changed)
        return Moved(len(changed), len(gone))

    def count(self) -> int:
        """Points in the collection.

        Raises:
            StorageError: there is none, or Qdrant did not answer.
        """
        with self._talking():
            return int(self.client.count(self.name, exact=True).count)

    def searcher(self, source: Source, *, exact: bool = False) -> QdrantSearcher:
        """Search this collection with the queries encoded by a system.

        Args:
            exact: compare with every point; False lets Qdrant use its graph where it has built one.
        """
        return QdrantSearcher(self, source, exact=exact)

    def find(self, vectors: np.ndarray, k: int, *, where: Any = None, exact: bool = False) -> list[list[Hit]]:
        """The `k` points nearest to each vector (q, d), best first.

        Args:
            where: a Qdrant filter, or None.

        Raises:
            StorageError: there is no such collection, or Qdrant refused or did not answer.
        """
        requests = [
            self._models.QueryRequest(
                query=vector.tolist(),
                limit=k,
                filter=where,
                with_payload=["id"],
                params=self._models.SearchParams(exact=exact),
            )
            for vector in vectors
        ]
        with self._talking():
            answers = [
                answer
                for some in blocks(len(requests), self._batch)
                for answer in self.client.query_batch_points(self.name, requests[some])
            ]
        return [
            [Hit(point.payload["id"], float(point.score)) for point in answer.points] for answer in answers
        ]

    def _ensure(self, dimensions: int) -> None:
        """The collection, for vectors of this width."""
        if not self.client.collection_exists(self.name):
            space = self._models.VectorParams(size=dimensions, distance=self._models.Distance.DOT)
            self.client.create_collection(self.name, vectors_config=space)
            return
        found = self.client.get_collection(self.name).config.params.vectors
        wanted = (dimensions, self._models.Distance.DOT)
        if (getattr(found, "size", None), getattr(found, "distance", None)) != wanted:
            raise InputError(
                f"the collection {self.name!r:.80} has other vectors than {dimensions} numbers compared by "
                "inner product; choose another name, or delete it"
            )

    def _put(self, system: System, vectors: np.ndarray, rows: Sequence[int]) -> None:
        for some in blocks(len(rows), self._batch):
            documents = [system.corpus[row] for row in rows[some]]
            keys = keys_of(system, [document.id for document in documents])
            points = [
                self._models.PointStruct(
                    id=point_id(document.id),
                    vector=vectors[row].tolist(),
                    payload={
                        "id": document.id,
                        "title": document.title,
                        "text": document.text,
                        "metadata": dict(document.metadata),
                        "paths": [list(key) for key in owned],
                        "labels": [system.table.describe(key) for key in owned] if system.table else [],
                    },
                )
                for row, document, owned in zip(rows[some], documents, keys, strict=True)
            ]
            self.client.upsert(self.name, points=points, wait=True)

    def _delete(self, points: Sequence[str]) -> None:
        for some in blocks(len(points), self._batch):
            chosen = self._models.PointIdsList(points=list(points[some]))
            self.client.delete(self.name, points_selector=chosen, wait=True)

    def _points(self) -> Iterator[str]:
        offset = None
        while True:
            found, offset = self.client.scroll(
                self.name, limit=4 * self._batch, offset=offset, with_payload=False, with_vectors=False
            )
            yield from (str(point.id) for point in found)
            if offset is None:
                return

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """What Qdrant complains about in one line."""
        refusals = library("qdrant_client.http.exceptions", "qdrant")
        try:
            yield
        except refusals.UnexpectedResponse as error:
            reason = f"answered {error.status_code} {error.reason_phrase}"
            raise StorageError(f"Qdrant, collection {self.name!r:.80}: {reason}") from None
        except refusals.ResponseHandlingException as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise StorageError(f"Qdrant does not answer ({reason})") from None
        except ValueError as error:  # what the local mode raises
            if isinstance(error, InputError):
                raise
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise StorageError(f"Qdrant, collection {self.name!r:.80}: {reason}") from None


class QdrantSearcher:
    """Implements `Searcher`: the system encodes, Qdrant finds.

    Documents that the system no longer holds are left out, so that none comes back between its deletion
    here and its deletion there.
    """

    def __init__(self, collection: QdrantCollection, source: Source, *, exact: bool = False) -> None:
        self._collection, self._source, self._exact = collection, source, exact

    def search(self, queries: Sequence[Query], k: int, *, where: Mapping[str, Any] | None = None) -> Ranking:
        """The `k` nearest documents of each query; equal scores keep the order of the corpus.

        Args:
            where: metadata field (or `id`, `title`) -> a value or a list of values, any of which will do;
                every field must match. A field that no document has matches nothing.

        Raises:
            InputError: `k` below 1, or a filter that is no text, number or bool.
            StorageError: Qdrant refused or did not answer.
        """
        if k < 1:
            raise InputError(f"k={k} must be at least 1")
        system = current(self._source)
        row_of, names = system.corpus.row_of, tuple(query.id for query in queries)
        vectors = query_vectors(system, [query.text for query in queries])
        wanted = min(k, len(row_of)) + _SPARE
        chosen = None if where is None else conditions(where)
        found = self._collection.find(vectors, wanted, where=chosen, exact=self._exact)
        hits = (
            sorted(
                (hit for hit in some if hit.document in row_of), key=lambda h: (-h.score, row_of[h.document])
            )
            for some in found
        )
        return Ranking(names, tuple(tuple(some[:k]) for some in hits))
