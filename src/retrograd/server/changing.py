"""Routes to the documents and their history: read one, put, delete, change many in one step, go back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from retrograd.server import schemas
from retrograd.server.answers import change_body, document_body, generation_body, json_response, snippet
from retrograd.server.batching import apart
from retrograd.server.hosted import Hosted
from retrograd.server.limits import notes
from retrograd.server.paths import DocumentId, SystemName, named
from retrograd.server.refusals import RefusedError
from retrograd.server.schemas import BulkRequest, Contents, RollbackRequest
from retrograd.server.settings import LONGEST_ID
from retrograd.types import Document

if TYPE_CHECKING:
    from retrograd.updates.live import Generation, LiveSystem

LARGEST_OFFSET = 2**31
UNKNOWN = "no document of this id is in the system"


def router(hosted: Mapping[str, Hosted]) -> APIRouter:
    """Over these systems."""
    routes = APIRouter(prefix="/v1/systems/{name}", tags=["documents"])

    async def change(name: str, request: Request, act: Any) -> Response:
        one = named(hosted, name, request)
        return json_response(change_body(await one.change(act, notes(request.scope).deadline)))

    @routes.get("/documents", response_model=schemas.DocumentPage, summary="List documents")
    async def documents(
        name: SystemName,
        request: Request,
        offset: Annotated[int, Query(ge=0, lt=LARGEST_OFFSET)] = 0,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> Response:
        one = named(hosted, name, request)
        corpus, generation = one.live.system.corpus, one.live.generation
        listed = [
            {"id": document.id, "title": document.title, "snippet": snippet(document.text)}
            for document in corpus[offset : offset + limit]
        ]
        page = {"total": len(corpus), "offset": offset, "generation": generation, "documents": listed}
        return json_response(page)

    @routes.post("/documents:bulk", response_model=schemas.ChangeAnswer, summary="Put and delete in one step")
    async def bulk(name: SystemName, asked: BulkRequest, request: Request) -> Response:
        put = tuple(Document(one.id, one.text, one.title, one.metadata) for one in asked.put)
        return await change(name, request, Bulk(put, tuple(asked.delete)))

    @routes.get(
        "/documents/{document_id:path}", response_model=schemas.DocumentBody, summary="Read a document"
    )
    async def read(name: SystemName, document_id: DocumentId, request: Request) -> Response:
        one = named(hosted, name, request)
        corpus = one.live.system.corpus
        if document_id not in corpus.row_of:
            raise RefusedError(404, UNKNOWN, code="no_document")
        return json_response(document_body(one, corpus[corpus.row_of[document_id]]))

    @routes.put(
        "/documents/{document_id:path}", response_model=schemas.ChangeAnswer, summary="Add or replace"
    )
    async def put(name: SystemName, document_id: DocumentId, asked: Contents, request: Request) -> Response:
        if (
            not 1 <= len(document_id) <= LONGEST_ID
            or not document_id.isprintable()
            or not document_id.strip()
        ):
            raise RefusedError(
                422, f"an id has 1 to {LONGEST_ID} characters, none of them a control character"
            )
        document = Document(document_id, asked.text, asked.title, asked.metadata)
        return await change(name, request, lambda live: live.put([document]))

    @routes.delete("/documents/{document_id:path}", response_model=schemas.ChangeAnswer, summary="Delete")
    async def delete(name: SystemName, document_id: DocumentId, request: Request) -> Response:
        return await change(name, request, Bulk((), (document_id,)))

    @routes.get("/history", response_model=schemas.HistoryAnswer, summary="What changed, newest first")
    async def history(
        name: SystemName, request: Request, limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> Response:
        live = named(hosted, name, request).live
        listed = await apart(notes(request.scope).deadline, live.history)
        newest = [generation_body(generation) for generation in listed[:limit]]
        return json_response({"generation": live.generation, "total": len(listed), "generations": newest})

    @routes.post("/rollback", response_model=schemas.ChangeAnswer, summary="Bring a generation back")
    async def rollback(name: SystemName, asked: RollbackRequest, request: Request) -> Response:
        return await change(name, request, Rollback(asked.to))

    return routes


@dataclass(frozen=True)
class Bulk:
    """Documents put and deleted in one step, checked against what is there when it is its turn."""

    put: tuple[Document, ...]
    delete: tuple[str, ...]

    def __call__(self, live: LiveSystem) -> Generation:
        """Make the change.

        Raises:
            RefusedError: a document to delete is not there (404), or none would be left (409).
        """
        from retrograd.updates.live import Change

        row_of = live.system.corpus.row_of
        missing = [at for at, document_id in enumerate(self.delete) if document_id not in row_of]
        if missing:
            many = len(self.delete) + len(self.put) > 1
            raise RefusedError(
                404, f"delete.{missing[0]}: {UNKNOWN}" if many else UNKNOWN, code="no_document"
            )
        new = sum(document.id not in row_of for document in self.put)
        if len(row_of) - len(self.delete) + new < 1:
            raise RefusedError(409, "a system keeps at least one document", code="last_document")
        if not self.put:
            return live.delete(self.delete)
        return live.apply(Change(put=self.put, delete=self.delete, action="put"))


@dataclass(frozen=True)
class Rollback:
    """The way back to an earlier generation."""

    to: int | None

    def __call__(self, live: LiveSystem) -> Generation:
        """Make the change.

        Raises:
            RefusedError: there is no such generation (404), or nothing to go back to (409).
        """
        if live.generation == 0:
            raise RefusedError(
                409, "nothing has changed since the system was fitted", code="nothing_to_restore"
            )
        if self.to is not None and self.to > live.generation:
            raise RefusedError(404, "there is no generation of this number", code="no_generation")
        return live.rollback(self.to)
