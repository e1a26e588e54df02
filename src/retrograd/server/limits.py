"""The edge of the server: what a request must keep to before anybody reads it, what every answer carries.

Bounds bodies with and without a declared length, checks host, token and JSON, gives every request an id,
every answer its security headers, and the log its line. Knows no route and no system.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retrograd.server.refusals import RefusedError
from retrograd.server.settings import LARGEST_BODY, LARGEST_HEAD, Settings

OPEN = ("/healthz", "/readyz", "/", "/static/")
"""Never need a token: probes, and the page, which holds no data of its own."""

WHILE_DRAINING = ("/healthz", "/readyz", "/metrics")
READING_POSTS = ("/search", "/explain")
"""Ends of paths that ask and change nothing."""

MOST_DISCARDED = 64 << 20
"""Bytes of a refused body that are read and thrown away, so that its sender gets to see the refusal."""

DISCARD_SECONDS = 5.0

SECURITY = (
    (
        b"content-security-policy",
        b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)

KEY = "retrograd.notes"
"""Where a request's notes are in its scope."""

_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


@dataclass
class Notes:
    """What is known of one request beside its contents."""

    id: str
    began: float
    """`time.monotonic()`."""

    deadline: float
    """The same clock."""

    system: str | None = None
    batch: int | None = None
    """Questions that were answered together with this one, itself included."""

    queries: list[str] = field(default_factory=list)
    reason: str = ""
    """For the operator: why a change was refused."""


def notes(scope: MutableMapping[str, Any]) -> Notes:
    """Those of a request that came through `Edge`."""
    found: Notes = scope[KEY]
    return found


class Traffic:
    """How many requests are under way, and whether new ones are still taken."""

    def __init__(self) -> None:
        self.draining = False
        self.in_flight = 0


Log = Callable[[dict[str, Any]], None]
Count = Callable[[str, str, int, float], None]


class Edge:
    """ASGI middleware around the whole application.

    Args:
        log: takes one record per request.
        count: told method, route, status and seconds of each.
    """

    def __init__(self, app: ASGIApp, settings: Settings, traffic: Traffic, *, log: Log, count: Count) -> None:
        self._app, self._settings, self._traffic = app, settings, traffic
        self._log, self._count = log, count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        began = time.monotonic()
        mine = Notes(_request_id(headers), began, began + self._settings.deadline)
        scope[KEY] = mine
        answer = _Answer(send, mine.id)
        counted = scope["path"] not in WHILE_DRAINING
        self._traffic.in_flight += counted
        try:
            await self._guarded(scope, headers, receive, answer)
        except ClientLeftError:
            answer.status = answer.status or 499
        except Exception as error:
            await self._failed(answer, mine, error)
        finally:
            self._traffic.in_flight -= counted
            self._finished(scope, mine, answer.status)

    async def _guarded(
        self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, answer: _Answer
    ) -> None:
        try:
            _check_size(scope)
            self._check_host(headers)
            self._check_draining(scope["path"])
            self._check_token(scope["method"], scope["path"], headers)
            body = await self._body(scope["method"], headers, receive, scope[KEY].deadline)
        except RefusedError as refusal:
            await answer.refuse(refusal)
            return
        await self._app(scope, _replayed(body, receive), answer)

    def _check_host(self, headers: Mapping[bytes, bytes]) -> None:
        if not self._settings.hosts:
            return
        host = headers.get(b"host", b"").decode("latin-1").lower()
        name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
        if name not in self._settings.hosts:
            raise RefusedError(
                400, "this server answers to its own address only, not to this Host", code="host"
            )

    def _check_draining(self, path: str) -> None:
        if self._traffic.draining and path not in WHILE_DRAINING:
            raise RefusedError(503, "the server is stopping", code="draining")

    def _check_token(self, method: str, path: str, headers: Mapping[bytes, bytes]) -> None:
        wanted = self._settings.token
        if not wanted or not self._needs_token(method, path):
            return
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), wanted.encode()):
            raise RefusedError(401, "this needs the server's token: send `Authorization: Bearer TOKEN`")

    def _needs_token(self, method: str, path: str) -> bool:
        if method in ("GET", "HEAD", "OPTIONS") or (method == "POST" and path.endswith(READING_POSTS)):
            is_open = path in OPEN or path.startswith("/static/")
            return self._settings.token_for_reads and not is_open
        return True

    async def _body(
        self, method: str, headers: Mapping[bytes, bytes], receive: Receive, deadline: float
    ) -> bytes:
        """All of a body that keeps to the bounds and is JSON where one is read; b"" where there is none."""
        if not (
            method in ("POST", "PUT", "PATCH")
            or b"content-length" in headers
            or b"transfer-encoding" in headers
        ):
            return b""
        declared = headers.get(b"content-length", b"0")
        body = bytearray()
        if not declared.isdigit() or len(declared) > 18 or int(declared) > LARGEST_BODY:
            if b"expect" not in headers:
                await _discard(receive)
            raise _too_large()
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                while True:
                    message = await _next(receive)
                    body += message.get("body", b"")
                    if len(body) > LARGEST_BODY:
                        body.clear()
                        await _discard(receive)
                        raise _too_large()
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise RefusedError(
                400, "the body did not arrive within the deadline", code="incomplete"
            ) from None
        if method in ("POST", "PUT", "PATCH"):
            _check_json(headers.get(b"content-type", b""), bytes(body))
        return bytes(body)

    async def _failed(self, answer: _Answer, mine: Notes, error: Exception) -> None:
        """A mistake of ours: the caller learns the request's id, the log all of it."""
        trace = "".join(traceback.format_exception(error))
        self._log({"time": _now(), "id": mine.id, "error": type(error).__name__, "trace": trace})
        if not answer.status:
            await answer.refuse(
                RefusedError(500, "the server failed; its log has the details under this request's id")
            )

    def _finished(self, scope: Scope, mine: Notes, status: int) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        seconds = time.monotonic() - mine.began
        self._count(scope["method"], route, status, seconds)
        record: dict[str, Any] = {
            "time": _now(),
            "id": mine.id,
            "method": scope["method"][:16],
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 3),
            "system": mine.system,
            "batch": mine.batch,
        }
        if mine.reason:
            record["reason"] = mine.reason
        if self._settings.log_queries and mine.queries:
            record["queries"] = mine.queries
        self._log(record)


class ClientLeftError(Exception):
    """The connection closed before the request was complete."""


class _Answer:
    """`send` that adds what every answer carries and remembers the status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send, self._id = send, request_id.encode()
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = list(message.get("headers", ()))
            if not any(name.lower() == b"cache-control" for name, _ in given):
                given.append((b"cache-control", b"no-store"))
            message = {**message, "headers": [*given, *SECURITY, (b"x-request-id", self._id)]}
        await self._send(message)

    async def refuse(self, refusal: RefusedError) -> None:
        """Answer with an error."""
        body = refusal.body
        headers = {"content-type": "application/json", "content-length": str(len(body)), **refusal.headers}
        if refusal.status in (413, 503) or refusal.code == "incomplete":
            headers["connection"] = "close"
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self({"type": "http.response.start", "status": refusal.status, "headers": pairs})
        await self({"type": "http.response.body", "body": body})


def _headers(scope: Scope) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.lower(), value)
    return found


def _request_id(headers: Mapping[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id", b"")
    return given.decode("ascii") if _ID.fullmatch(given) else uuid.uuid4().hex[:16]


def _check_size(scope: Scope) -> None:
    """What comes in one piece is not bounded by the parser of the protocol."""
    lines = sum(len(name) + len(value) for name, value in scope["headers"])
    if lines + len(scope["query_string"]) + len(scope["path"]) > LARGEST_HEAD:
        raise RefusedError(
            400, f"address and headers may have at most {LARGEST_HEAD:,} bytes", code="headers"
        )


def _check_json(content_type: bytes, body: bytes) -> None:
    """JSON that holds no lone surrogate, no NaN, and is nested no deeper than a parser may go."""
    if content_type.partition(b";")[0].strip().lower() != b"application/json":
        raise RefusedError(415, "send JSON, with `Content-Type: application/json`")
    try:
        from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise RefusedError(422, f"the body is no JSON that this server reads: {error}", code="json") from None


def _too_large() -> RefusedError:
    return RefusedError(413, f"a body may have at most {LARGEST_BODY:,} bytes; send several smaller ones")


async def _next(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientLeftError
    return message


async def _discard(receive: Receive) -> None:
    """Read on for a while without keeping anything."""
    left = MOST_DISCARDED
    try:
        async with asyncio.timeout(DISCARD_SECONDS):
            while left > 0:
                message = await _next(receive)
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def _replayed(body: bytes, receive: Receive) -> Receive:
    """`receive` that gives the body in one piece, then whatever comes."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _now() -> str:
    at = time.time()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(at))}.{int(at % 1 * 1000):03d}Z"


def log_line(record: Mapping[str, Any]) -> str:
    """A record as one line of JSON, whatever characters are in it.

    >>> log_line({"status": 200, "queries": ["a\\nb"]})
    '{"status":200,"queries":["a\\\\nb"]}'
    """
    return json.dumps(record, separators=(",", ":"), default=str)


def stderr_log(record: Mapping[str, Any]) -> None:
    """Write a record to standard error."""
    sys.stderr.write(log_line(record) + "\n")
