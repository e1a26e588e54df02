"""Promises 14, 16 and 17 over every route: no path is taken, no name leads out, changes need the token."""

import asyncio
import itertools
import json
import re
import sys
from pathlib import Path
from urllib.parse import unquote_to_bytes

import psutil
import pytest

from reliability.servers import Client, running
from reliability.small_served import small_systems
from retrograd.server.application import build
from retrograd.server.limits import READING_POSTS
from retrograd.server.settings import Settings
from retrograd.updates.live import LiveSystem

TOKEN = "0123456789abcdef"
METHODS = ("get", "put", "post", "delete", "patch")
NAMES = (
    "..", "../..", "..%2f..%2fetc", "%2e%2e", "%2e%2e%2fserved", "/etc/passwd", "%2fetc%2fpasswd",
    "a%00b", "SERVED", "served ", "sérved", "x" * 65, "served%2f..%2fserved", "..\\..", "C:\\x", "~",
)  # fmt: skip
OPENED: list[str] = []
"""Files that were opened while `WATCHING` held anything."""

WATCHING: list[bool] = []
sys.addaudithook(
    lambda event, arguments: OPENED.append(str(arguments[0])) if WATCHING and event == "open" else None
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small lexical system, and a file beside it that nobody may read."""
    made = small_systems(tmp_path_factory.mktemp("server"), documents=40)[0]
    (made.parent / "secret").write_text("the secret")
    return made


@pytest.fixture(scope="module")
def app(folder):
    with LiveSystem.open(folder) as live:
        yield build({"served": live}, Settings(token=TOKEN), log=lambda record: None)


def ask(app, method, path, body=b"", headers=()):
    """Status and body of a request whose path nobody tidied up on the way."""
    sent = []
    scope = {
        "type": "http",
        "method": method.upper(),
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path.encode("utf-8", "replace"),
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"host", b"localhost"), *headers],
    }

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def operations(app):
    """Method and path of everything the server describes."""
    return [
        (method, path)
        for path, about in app.openapi()["paths"].items()
        for method in METHODS
        if method in about
    ]


def test_no_name_leads_to_a_file(app, folder):
    with_name = [(method, path) for method, path in operations(app) if "{name}" in path]
    assert len(with_name) > 8
    bearer = [(b"authorization", f"Bearer {TOKEN}".encode())]
    OPENED.clear()
    WATCHING.append(True)
    try:
        for (method, path), name in itertools.product(with_name, NAMES):
            asked = path.replace("{name}", name).replace("{document_id}", "x")
            status, body = ask(app, method, asked, b'{"query": "image"}', bearer)
            assert status in (400, 404, 405, 422), asked
            assert len(body) < 4096
            assert b"secret" not in body
    finally:
        WATCHING.clear()
    assert [name for name in OPENED if "etc" in name or "secret" in name or str(folder.parent) in name] == []


@pytest.mark.parametrize(
    "path", ["../../secret", "..%2f..%2fsecret", "%2e%2e/%2e%2e/secret", "/etc/passwd", "a%00b", "", "."]
)
def test_the_static_files_are_those_of_the_page(app, path):
    status, body = ask(app, "get", f"/static/{path}")
    assert status in (400, 404, 405)
    assert b"the secret" not in body
    assert b"root:" not in body


def test_no_request_can_name_a_file_or_folder(app):
    description = app.openapi()
    bodies = {
        reference["$ref"].rpartition("/")[2]
        for about in description["paths"].values()
        for operation in about.values()
        for content in operation.get("requestBody", {}).get("content", {}).values()
        for reference in [content["schema"]]
    }
    names = {
        parameter["name"]
        for about in description["paths"].values()
        for operation in about.values()
        for parameter in operation.get("parameters", ())
    }
    for body in bodies:
        names |= description["components"]["schemas"][body].get("properties", {}).keys()
    assert {"name", "query", "k", "put", "delete", "to"} <= names
    assert [name for name in names if re.search(r"path|file|folder|dir|url|uri", name)] == []


def test_every_change_needs_the_token(app):
    changing = [
        (method, path)
        for method, path in operations(app)
        if method != "get" and not path.endswith(READING_POSTS)
    ]
    assert len(changing) >= 4
    for method, path in changing:
        asked = path.replace("{name}", "served").replace("{document_id}", "x")
        for header in ([], [(b"authorization", b"Bearer wrong")], [(b"authorization", TOKEN.encode())]):
            status, body = ask(app, method, asked, b"{}", header)
            assert status == 401, asked
            assert json.loads(body)["error"]["code"] == "token_needed"


def test_without_being_told_otherwise_only_this_machine_is_listened_to(folder):
    with running([f"served={folder}"], ["--read-only"]) as server:
        listening = [
            connection.laddr
            for connection in psutil.Process(server.process.pid).net_connections()
            if connection.status == psutil.CONN_LISTEN
        ]
        assert [address.ip for address in listening] == ["127.0.0.1"]
        client = Client(server.port)
        assert client.ask("GET", "/healthz")[0] == 200
        status, body = client.ask("GET", "/v1/systems")
        client.close()
    assert status == 200
    assert [system["name"] for system in body["systems"]] == ["served"]
    assert str(Path(folder).parent) not in json.dumps(body)
