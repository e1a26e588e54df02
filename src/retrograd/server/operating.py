"""Routes for whoever runs the server: probes, metrics, the description of the API, and the page.

Static files are read once at the start; a request names one of them or nothing.
"""

from __future__ import annotations

import hashlib
import html
import mimetypes
from pathlib import Path
from typing import Any, NamedTuple

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from retrograd.server.answers import json_response
from retrograd.server.metrics import CONTENT_TYPE
from retrograd.server.refusals import RefusedError
from retrograd.server.schemas import Status

OURS = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}
STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}"
    "code{font-size:.95em}dt{margin-top:1rem;font-weight:600}dd{margin:.2rem 0 0 1.5rem}"
)


class File(NamedTuple):
    """One static file."""

    body: bytes
    media_type: str
    tag: str


def router(app: FastAPI, page: Path | None) -> APIRouter:
    """Over the state of an application.

    Args:
        page: folder of static files, or None.
    """
    routes = APIRouter(tags=["operation"])
    files = {} if page is None else read_files(page)

    @routes.get("/healthz", response_model=Status, summary="Is the process well?")
    async def health() -> Response:
        if all(one.batcher.is_alive for one in app.state.hosted.values()):
            return json_response({"status": "ok"})
        raise RefusedError(503, "a thread that answers has ended; restart the server")

    @routes.get("/readyz", response_model=Status, summary="May requests be sent?")
    async def ready() -> Response:
        if app.state.traffic.draining:
            raise RefusedError(503, "the server is stopping", code="draining")
        return json_response({"status": "ready"})

    @routes.get("/metrics", summary="Figures for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(app.state.metrics.text(), headers={"content-type": CONTENT_TYPE})

    @routes.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(docs_page(app.openapi()), media_type="text/html")

    @routes.get("/docs/style.css", include_in_schema=False)
    async def style() -> Response:
        return Response(STYLE, media_type="text/css")

    @routes.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return _file(files, "index.html", request)

    @routes.get("/static/{path:path}", include_in_schema=False)
    async def static(path: str, request: Request) -> Response:
        return _file(files, path, request)

    return routes


def read_files(folder: Path) -> dict[str, File]:
    """Path below a folder, with `/`, -> file; hidden ones, code and links left out."""
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not path.is_file() or path.suffix == ".py" or "/." in f"/{name}":
            continue
        kind = OURS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        body = path.read_bytes()
        files[name] = File(body, kind, f'"{hashlib.sha256(body).hexdigest()[:16]}"')
    return files


def _file(files: dict[str, File], name: str, request: Request) -> Response:
    found = files.get(name)
    if found is None:
        raise RefusedError(404, "no page is installed here; the API is described at /docs", code="no_page")
    headers = {"cache-control": "no-cache", "etag": found.tag}
    if request.headers.get("if-none-match") == found.tag:
        return Response(status_code=304, headers=headers)
    return Response(found.body, headers=headers, media_type=found.media_type)


def docs_page(openapi: dict[str, Any]) -> str:
    """The paths of an OpenAPI description as a page without scripts or outside resources."""
    entries = []
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            fields = [f"{p['name']} ({p['in']})" for p in operation.get("parameters", ())]
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            name = body.get("schema", {}).get("$ref", "").rpartition("/")[2]
            if name:
                known = openapi["components"]["schemas"][name]["properties"]
                fields.append(f"JSON: {', '.join(known)}")
            title = html.escape(f"{method.upper()} {path}")
            said = html.escape(operation.get("summary", ""))
            entries.append(
                f"<dt><code>{title}</code></dt><dd>{said}<br>{html.escape('; '.join(fields))}</dd>"
            )
    heading = html.escape(f"{openapi['info']['title']} {openapi['info']['version']}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{heading}</title>'
        '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/docs/style.css">'
        f'<h1>{heading}</h1><p>The same for programs: <a href="/openapi.json">openapi.json</a>.</p>'
        f"<dl>{''.join(entries)}</dl></html>"
    )
