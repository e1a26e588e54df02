"""A server of canned answers for states of the page that a healthy one never shows: it fails, asks for a
token, refuses writes, or sends text that would do harm as markup."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from retrograd.web import static_folder

POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
STRANGE_IDS = ("plain", "a/b", "100%", "ünï ço∂é", "?q=1#x", "<b>bold</b>", "..", "quote\"'")


def hostile_documents() -> dict[str, dict[str, Any]]:
    """One document per strange id, each with markup wherever text may stand."""
    return {
        name: {
            "id": name,
            "title": f"Title {at} {HOSTILE}",
            "text": f"Text {at} {HOSTILE}",
            "metadata": {f"field {HOSTILE}": HOSTILE, "number": at},
        }
        for at, name in enumerate(STRANGE_IDS)
    }


@dataclass
class Answers:
    """What the server says; tests change it while it runs."""

    documents: dict[str, dict[str, Any]] = field(default_factory=hostile_documents)
    systems: tuple[str, ...] = ("one", "two")
    writable: bool = True
    token: str = ""
    takes: tuple[str, ...] = ("query", "history", "vector")
    has_docids: bool = True
    fail: dict[str, int] = field(default_factory=dict)
    """Route pattern -> status it answers with."""
    generations: list[dict[str, Any]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of the searches."""

    def __post_init__(self) -> None:
        self.note("fit", added=len(self.documents))

    def note(self, action: str, **counts: int) -> dict[str, Any]:
        """Append a generation."""
        entry: dict[str, Any] = dict.fromkeys(("added", "removed", "updated"), 0) | counts
        entry |= {"number": len(self.generations), "action": action, "time": "2026-01-02T03:04:05Z"}
        entry |= {"documents": len(self.documents), "restores": counts.get("restores")}
        self.generations.insert(0, entry)
        return entry | {"generation": entry["number"]}

    def answer(self, method: str, path: str, given: dict[str, Any]) -> tuple[int, Any]:
        """Status and body."""
        for pattern, status in self.fail.items():
            if re.search(pattern, path):
                return status, {"error": {"code": "canned", "message": f"canned refusal {HOSTILE}"}}
        if path == "/v1/systems":
            return 200, {"systems": [self._system(name) for name in self.systems]}
        _, _, _, name, rest = path.split("/", 4)
        kind, _, document = rest.partition("/")
        if kind == "documents" and document:
            return self._document(method, unquote(document), given)
        makers = {
            "search": lambda: self._search(name, given),
            "documents": lambda: self._page(given),
            "documents:bulk": lambda: self._bulk(given),
            "history": lambda: {
                "generation": self.generations[0]["number"],
                "generations": self.generations,
            },
            "rollback": lambda: self.note("rollback", restores=given["to"]),
            "tree": lambda: self._tree(given["prefix"]),
            "audit": lambda: {
                "served": {"answers": 3, "documents": 2, "top_share": 0.5, "gini": 0.4},
                "hubness": None,
            },
        }
        return (200, makers[kind]()) if kind in makers else (404, {"error": {"message": "no such route"}})

    def _system(self, name: str) -> dict[str, Any]:
        about = {"name": name, "recipe": "canned", "summary": f"answers {HOSTILE}", "takes": self.takes}
        about |= {"documents": len(self.documents), "generation": self.generations[0]["number"]}
        return about | {"has_docids": self.has_docids, "writable": self.writable}

    def _search(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(given)
        found = list(self.documents.values())[: given.get("k", 10)]
        hits = [self._hit(rank, item) for rank, item in enumerate(found[:: -1 if name == "two" else 1], 1)]
        result = {"query": given.get("query"), "hits": hits}
        return {"system": name, "generation": 1, "took_ms": 1.5, "results": [result]}

    def _hit(self, rank: int, item: dict[str, Any]) -> dict[str, Any]:
        steps = [
            {"token": 1, "label": HOSTILE, "probability": 0.5, "cumulative": 0.5},
            {"token": rank, "label": str(rank), "probability": None, "cumulative": None},
        ]
        hit = {"rank": rank, "id": item["id"], "title": item["title"], "snippet": item["text"]}
        hit |= {"score": None if rank == 2 else 1 / rank, "path": [1, rank], "path_label": HOSTILE}
        return hit | {"steps": steps, "metadata": item["metadata"], "served": rank}

    def _page(self, given: dict[str, Any]) -> dict[str, Any]:
        offset, limit = int(given["offset"]), int(given["limit"])
        found = list(self.documents.values())[offset : offset + limit]
        return {"total": len(self.documents), "offset": offset, "documents": found}

    def _document(self, method: str, name: str, given: dict[str, Any]) -> tuple[int, Any]:
        if method == "PUT":
            self.documents[name] = {"id": name, **given}
            return 200, self.note("put", added=1)
        if name not in self.documents:
            return 404, {"error": {"code": "not_found", "message": "no document has this id"}}
        if method == "DELETE":
            del self.documents[name]
            return 200, self.note("delete", removed=1)
        return 200, self.documents[name]

    def _bulk(self, given: dict[str, Any]) -> dict[str, Any]:
        for name in given.get("delete", []):
            del self.documents[name]
        for item in given.get("put", []):
            self.documents[item["id"]] = item
        return self.note("put", added=len(given.get("put", [])), removed=len(given.get("delete", [])))

    def _tree(self, prefix: str) -> dict[str, Any]:
        listed = [{"id": item["id"], "title": item["title"]} for item in self.documents.values()]
        child = {"token": 1, "label": HOSTILE, "documents": len(listed), "leaf": False}
        children = [child | {"terms": [HOSTILE, "plain"], "examples": listed[:3]}] if not prefix else []
        return {"label": prefix, "documents": len(listed), "children": children, "listed": listed[:20]}


@contextmanager
def serving(answers: Answers) -> Iterator[str]:
    """The address of a running server of these answers."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def _reply(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            for name, value in (("Content-Type", kind), ("Content-Security-Policy", POLICY)):
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _file(self, path: str) -> None:
            file = static_folder() / ("index.html" if path == "/" else path.removeprefix("/static/"))
            if file.is_file():
                self._reply(200, TYPES[file.suffix], file.read_bytes())
            else:
                self._reply(404, "text/plain", b"")

        def _any(self) -> None:
            parts = urlsplit(self.path)
            size = int(self.headers.get("Content-Length") or 0)
            given = json.loads(self.rfile.read(size) or b"{}")
            given |= {name: value[0] for name, value in parse_qs(parts.query, keep_blank_values=True).items()}
            if not parts.path.startswith("/v1"):
                return self._file(parts.path)
            writes = self.command in ("PUT", "DELETE") or parts.path.endswith(("bulk", "rollback"))
            if writes and answers.token and self.headers.get("Authorization") != f"Bearer {answers.token}":
                status, told = 401, {"error": {"code": "token_needed", "message": "a token is needed"}}
            else:
                status, told = answers.answer(self.command, parts.path, given)
            return self._reply(status, "application/json", json.dumps(told).encode())

        do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
