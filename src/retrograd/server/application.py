"""The application: routes to hosted systems, and every way a request can go wrong as one kind of answer.

Knows which function serves which path; what each does is in the files beside it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from retrograd import __version__
from retrograd.server import changing, operating, reading
from retrograd.server.hosted import Hosted
from retrograd.server.limits import Edge, Log, Traffic, notes, stderr_log
from retrograd.server.metrics import Metrics
from retrograd.server.refusals import RefusedError, faults
from retrograd.server.schemas import KNOWN, ErrorBody
from retrograd.server.settings import Settings

if TYPE_CHECKING:
    from retrograd.updates.live import LiveSystem

SAID = {
    400: "The request as a whole.",
    401: "A token is needed.",
    404: "No such thing.",
    405: "Another method.",
    409: "Not in this state.",
    413: "Too large.",
    415: "Not JSON.",
    422: "A field is not what is allowed.",
    429: "Too many wait.",
    503: "Not in time, or stopping.",
}
"""What each status of an error is about, for the description of the API."""


def build(
    systems: Mapping[str, LiveSystem],
    settings: Settings | None = None,
    *,
    read_only: bool = False,
    page: Path | None = None,
    log: Log = stderr_log,
    begin: Callable[[], None] = lambda: None,
) -> FastAPI:
    """The application over named live systems, which it closes when it ends.

    `app.state.traffic` says how many requests are under way; setting its `draining` refuses new ones.

    Args:
        page: folder of static files; its `index.html` is served at `/`.
        log: takes one record per request.
        begin: called on every thread that searches or changes.
    """
    chosen, metrics, traffic = settings or Settings(), Metrics(), Traffic()
    hosted = {
        name: Hosted(name, live, writable=not read_only, queue=chosen.queue, metrics=metrics, begin=begin)
        for name, live in systems.items()
    }
    metrics.watch(hosted.values())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.openapi()  # made once, before anybody waits for it
        yield
        for one in hosted.values():
            one.close()

    app = FastAPI(
        title="retrograd",
        version=__version__,
        description="Search, explain and change fitted retrieval systems.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses={status: {"model": ErrorBody, "description": text} for status, text in SAID.items()},
        redirect_slashes=False,
    )
    app.state.traffic, app.state.hosted, app.state.metrics = traffic, hosted, metrics
    app.include_router(reading.router(hosted))
    app.include_router(changing.router(hosted))
    app.include_router(operating.router(app, page))
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(HTTPException, _unrouted)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_middleware(Edge, settings=chosen, traffic=traffic, log=log, count=metrics.request)
    return app


def _answer(refusal: RefusedError, headers: Mapping[str, str] | None = None) -> Response:
    both = {**refusal.headers, **(headers or {})}
    return Response(refusal.body, refusal.status, headers=both, media_type="application/json")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    if error.__cause__ is not None:
        notes(request.scope).reason = str(error.__cause__)
    return _answer(error)


async def _unrouted(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, HTTPException)
    said: dict[int, str] = {
        404: "nothing is served at this path",
        405: "this path has other methods; see Allow",
    }
    known = error.status_code if error.status_code in SAID else 400
    return _answer(RefusedError(known, said.get(known, "the request cannot be read")), error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, RequestValidationError)
    listed: list[Any] = list(error.errors())
    return _answer(RefusedError(422, faults(listed, KNOWN)))
