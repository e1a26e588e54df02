"""Routes that ask and change nothing: systems, search, explain, the id tree, and who is served."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from retrograd.server import schemas
from retrograd.server.answers import json_response, result_body
from retrograd.server.asking import Texts, Vectors, where_key
from retrograd.server.batching import apart
from retrograd.server.hosted import Hosted
from retrograd.server.limits import notes
from retrograd.server.paths import SystemName, named
from retrograd.server.refusals import RefusedError
from retrograd.server.schemas import ExplainRequest, SearchRequest
from retrograd.server.settings import LONGEST_QUERY, MOST_ANSWERS
from retrograd.server.tree import prefix_of
from retrograd.types import Query as Question

HISTORY_ALONE = "a recommendation"
"""What stands for the words of a question that has none in the log."""


def router(hosted: Mapping[str, Hosted]) -> APIRouter:
    """Over these systems."""
    routes = APIRouter(prefix="/v1/systems", tags=["search"])

    @routes.get("", response_model=schemas.Systems, summary="The systems of this server")
    async def systems() -> Response:
        return json_response({"systems": [_info(one) for one in hosted.values()]})

    @routes.post("/{name}/search", response_model=schemas.SearchAnswer, summary="Search")
    async def search(name: SystemName, asked: SearchRequest, request: Request) -> Response:
        return await _search(named(hosted, name, request), asked, request)

    @routes.get("/{name}/search", response_model=schemas.SearchAnswer, summary="Search for one text")
    async def search_one(
        name: SystemName,
        request: Request,
        q: Annotated[str, Query(min_length=1, max_length=LONGEST_QUERY)],
        k: Annotated[int, Query(ge=1, le=MOST_ANSWERS)] = 10,
    ) -> Response:
        if not q.strip():
            raise RefusedError(422, "q: must hold more than blanks")
        return await _search(named(hosted, name, request), SearchRequest(query=q, k=k), request)

    @routes.post("/{name}/explain", response_model=schemas.SearchAnswer, summary="Show how a search went")
    async def explain(name: SystemName, asked: ExplainRequest, request: Request) -> Response:
        whole = SearchRequest(query=asked.query, k=asked.k, explain=True)
        return await _search(named(hosted, name, request), whole, request)

    @routes.get("/{name}/tree", response_model=schemas.Tree, summary="What stands below a prefix of the ids")
    async def tree(
        name: SystemName, request: Request, prefix: Annotated[str, Query(max_length=1000)] = ""
    ) -> Response:
        explorer = named(hosted, name, request).explorer()
        found = await apart(notes(request.scope).deadline, explorer.branch, prefix_of(prefix))
        return json_response(found)

    @routes.get("/{name}/audit", response_model=schemas.AuditAnswer, summary="Who is served")
    async def audit(name: SystemName, request: Request) -> Response:
        return json_response(named(hosted, name, request).audit.report())

    return routes


def _info(one: Hosted) -> dict[str, Any]:
    system = one.live.system
    return {
        "name": one.name,
        "recipe": system.recipe.name,
        "summary": system.recipe.summary,
        "documents": len(system.corpus),
        "generation": one.live.generation,
        "has_docids": system.table is not None,
        "takes": list(one.takes),
        "writable": one.writable,
    }


async def _search(one: Hosted, asked: SearchRequest, request: Request) -> Response:
    mine = notes(request.scope)
    kind, questions, shown = _questions(one, asked)
    mine.queries = [text for text in shown if text]
    answered = await one.ask(kind, questions, mine.deadline)
    mine.batch = answered.together
    results = [result_body(one, text, found) for text, found in zip(shown, answered.answers, strict=True)]
    return json_response(
        {
            "system": one.name,
            "generation": one.live.generation,
            "took_ms": round((time.monotonic() - mine.began) * 1000, 3),
            "results": results,
        }
    )


def _questions(one: Hosted, asked: SearchRequest) -> tuple[Texts | Vectors, list[Any], list[str | None]]:
    """The kind of question, the questions, and their words."""
    where = where_key(asked.filters)
    if asked.vector is not None:
        return *_vector(one, asked, where), [None]
    if asked.history is not None and "history" not in one.takes:
        raise RefusedError(422, "history: this system does not read histories; see `takes` in /v1/systems")
    if asked.history is None and "query" not in one.takes:
        raise RefusedError(
            422, "history: missing; this system reads histories only, see `takes` in /v1/systems"
        )
    texts = asked.queries if asked.queries is not None else [asked.query or ""]
    past = tuple(asked.history or ())
    questions = [Question(str(at), text, past) for at, text in enumerate(texts)]
    return Texts(asked.k, where, asked.engine, asked.explain), questions, [text or None for text in texts]


def _vector(one: Hosted, asked: SearchRequest, where: str) -> tuple[Vectors, list[tuple[float, ...]]]:
    if "vector" not in one.takes:
        raise RefusedError(422, "vector: this system has no document vectors; see `takes` in /v1/systems")
    vector = tuple(asked.vector or ())
    with np.errstate(over="ignore"):
        if not np.isfinite(np.asarray(vector, np.float32)).all():
            raise RefusedError(422, "vector: every number must be finite in 32 bits")
    return Vectors(asked.k, len(vector), where), [vector]
