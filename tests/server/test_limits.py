"""No request may cost more than its bounds, and no error gives back what it was sent."""

import asyncio
import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.server.limits import Traffic, log_line
from retrograd.server.settings import LARGEST_BODY
from tests.server.test_reading import refused, search

SEARCH = "/v1/systems/bm25/search"
JSON = {"content-type": "application/json"}
MARK = "do-not-echo-me"
TOKEN = "0123456789abcdef"
CHUNK = (MARK.encode() * (1 << 16))[: 1 << 16]
BEARER = {"authorization": f"Bearer {TOKEN}"}


def post(served, content, headers=JSON, path=SEARCH):
    response = served.client.post(path, content=content, headers=headers)
    assert MARK not in response.text
    return response


def post_scope(headers):
    """A search as a server hands it to an application."""
    return {
        "type": "http",
        "method": "POST",
        "path": SEARCH,
        "raw_path": SEARCH.encode(),
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"host", b"localhost"), *headers.items()],
    }


@pytest.mark.parametrize("declared", [{b"content-length": b"52428800"}, {b"transfer-encoding": b"chunked"}])
def test_fifty_megabytes_are_refused_and_never_held(shared, declared):
    """The socket's side of it, with a real connection, is in `test_run`."""
    sent, left = [], (50 << 20) // len(CHUNK)

    async def receive():
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": bytes(CHUNK), "more_body": left > 0}

    async def send(message):
        sent.append(message)

    tracemalloc.start()
    asyncio.run(shared.app(post_scope(declared), receive, send))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [message.get("status") for message in sent] == [413, None]
    assert len(sent[1]["body"]) < 4096
    assert peak < 8 << 20


def test_the_largest_body_is_read_and_one_byte_more_is_not(shared):
    body = json.dumps({"query": "image"}).encode()
    assert post(shared, body + b" " * (LARGEST_BODY - len(body))).status_code == 200
    refused(post(shared, body + b" " * (LARGEST_BODY - len(body) + 1)), 413)
    refused(shared.client.request("GET", "/v1/systems", content=b" " * (LARGEST_BODY + 1)), 413)


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        '{"query":' * 50_000,
        '{"query":"' + MARK + '\\ud800"}',
        b'{"query":"\xff\xfe"}',
        '{"query":"' + MARK,
        '{"query":"x","k":NaN}',
        '{"query":"x","k":1e400}',
        '{"query":"x","k":1' + "0" * 5000 + "}",
        '{"query":"x","filters":{"n":-Infinity}}',
        '{"vector":[1e999]}',
        "",
        "null",
        "[]",
        '"' + MARK + '"',
    ],
)
def test_what_is_no_json_of_ours_is_422(shared, body):
    refused(post(shared, body), 422)


@pytest.mark.parametrize(
    "body",
    [
        {"query": MARK * 1000},
        {"query": MARK, "k": 101},
        {"query": MARK, "k": 0},
        {"query": MARK, "k": "5"},
        {"query": MARK, "k": 5.0},
        {"query": MARK, "k": True},
        {"query": MARK, "k": None},
        {"queries": [MARK] * 65},
        {"queries": []},
        {"queries": [MARK, ""]},
        {"query": MARK, "queries": [MARK]},
        {"query": MARK, "vector": [1.0]},
        {"query": " \t\n"},
        {"query": 5},
        {"query": [MARK]},
        {},
        {"query": MARK, MARK: 1},
        {"query": MARK, "filters": {MARK: {MARK: 1}}},
        {"query": MARK, "filters": {str(at): at for at in range(17)}},
        {"query": MARK, "filters": {MARK: 10**40}},
        {"query": MARK, "engine": MARK},
        {"query": MARK, "explain": 1},
    ],
)
def test_what_is_out_of_bounds_is_422_and_not_repeated(shared, body):
    refused(post(shared, json.dumps(body)), 422, "invalid")


def test_the_bounds_themselves_are_answered(shared):
    assert len(search(shared, "bm25", queries=["image"] * 64, k=100)["results"]) == 64
    search(shared, "bm25", query="x" * 2048)
    search(shared, "bm25", query="\0 \x7f \U0010ffff \u202e image")


def test_headers_are_bounded(shared):
    refused(shared.client.get("/healthz", headers={"x-long": "y" * 20_000}), 400, "headers")
    refused(shared.client.get("/healthz?" + "y" * 20_000), 400, "headers")


def test_a_body_that_never_comes_is_given_up(serve):
    served = serve("bm25", deadline=0.1)
    sent = []

    async def receive():
        await asyncio.sleep(0.03)
        return {"type": "http.request", "body": b" ", "more_body": True}

    async def send(message):
        sent.append(message)

    asyncio.run(served.app(post_scope({b"content-length": b"1000"}), receive, send))
    assert sent[0]["status"] == 400
    assert b"incomplete" in sent[1]["body"]


def test_a_caller_who_leaves_is_noted_and_not_answered(serve):
    served = serve("bm25")
    sent = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    asyncio.run(served.app(post_scope({b"content-length": b"1000"}), receive, send))
    assert not sent
    assert served.log[-1]["status"] == 499
    assert served.app.state.traffic.in_flight == 0


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
def test_only_json_is_read(shared, kind):
    refused(post(shared, '{"query":"x"}', {"content-type": kind}), 415, "not_json")


def test_json_may_name_its_characters(shared):
    kind = {"content-type": "Application/JSON; charset=utf-8"}
    assert post(shared, '{"query":"image"}', kind).status_code == 200


def test_unknown_things_are_404_and_other_methods_405(shared):
    refused(shared.client.post(f"/v1/systems/{MARK}/search", json={"query": "x"}), 404, "no_system")
    refused(shared.client.get(f"/{MARK}"), 404, "not_found")
    refused(shared.client.get(f"/static/{MARK}"), 404)
    refused(shared.client.get("/static/../../etc/passwd"), 404)
    refused(shared.client.get("/v1/systems/bm25/"), 404)
    response = shared.client.delete(SEARCH)
    refused(response, 405)
    assert "POST" in response.headers["allow"] or "GET" in response.headers["allow"]


def test_every_answer_carries_its_protection(shared):
    for response in (
        shared.client.get("/v1/systems"),
        shared.client.get("/nothing"),
        shared.client.get("/docs"),
        shared.client.get("/metrics"),
        post(shared, "["),
    ):
        assert response.headers["content-security-policy"].startswith(
            "default-src 'self'; frame-ancestors 'none'"
        )
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["x-request-id"]
        assert "access-control-allow-origin" not in response.headers
        assert "server" not in response.headers


def test_a_loopback_server_answers_to_its_own_names_only(serve):
    served = serve("bm25", hosts=("localhost", "127.0.0.1", "[::1]"))
    for host in ("localhost", "LOCALHOST:8765", "127.0.0.1:1", "[::1]:8765", "[::1]"):
        assert served.client.get("/healthz", headers={"host": host}).status_code == 200, host
    for host in (
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:80",
        "",
        "evil.example:localhost",
    ):
        refused(served.client.get("/healthz", headers={"host": host}), 400, "host")


def test_a_token_guards_changes(serve):
    served = serve("bm25", token=TOKEN)
    document = "/v1/systems/bm25/documents/x"
    for wrong in (
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": TOKEN},
        {"authorization": "Basic abc"},
    ):
        for response in (
            served.client.put(document, json={"text": "zebra"}, headers=wrong),
            served.client.delete(document, headers=wrong),
            served.client.post("/v1/systems/bm25/documents:bulk", json={"delete": ["x"]}, headers=wrong),
            served.client.post("/v1/systems/bm25/rollback", json={}, headers=wrong),
        ):
            refused(response, 401, "token_needed")
            assert response.headers["www-authenticate"] == "Bearer"
    assert served.live("bm25").generation == 0
    search(served, "bm25", query="image")
    assert served.client.put(document, json={"text": "zebra"}, headers=BEARER).status_code == 200


def test_an_open_address_needs_the_token_for_everything_but_probes_and_page(serve, tmp_path):
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "app.js").write_text("1")
    served = serve("bm25", token=TOKEN, token_for_reads=True, page=tmp_path)
    closed = ("/v1/systems", "/v1/systems/bm25/documents", "/metrics", "/openapi.json", "/docs", "/nothing")
    for path in closed:
        refused(served.client.get(path), 401)
        assert served.client.get(path, headers=BEARER).status_code in (200, 404)
    refused(served.client.post(SEARCH, json={"query": "x"}), 401)
    for path in ("/healthz", "/readyz", "/", "/static/app.js"):
        assert served.client.get(path).status_code == 200


def test_while_draining_only_probes_are_answered(serve):
    served = serve("bm25")
    traffic: Traffic = served.app.state.traffic
    traffic.draining = True
    response = served.client.post(SEARCH, json={"query": "x"})
    refused(response, 503, "draining")
    assert response.headers["connection"] == "close"
    refused(served.client.get("/readyz"), 503, "draining")
    assert served.client.get("/healthz").status_code == 200
    assert served.client.get("/metrics").status_code == 200
    assert traffic.in_flight == 0


def test_a_mistake_of_ours_is_a_500_that_says_nothing(serve, monkeypatch):
    served = serve("bm25")

    def broken(*arguments, **named):
        raise RuntimeError(MARK)

    monkeypatch.setattr(served.live("bm25"), "search", broken)
    response = post(served, '{"query":"x"}')
    refused(response, 500, "internal")
    failure = next(line for line in served.log if "trace" in line)
    assert failure["id"] == response.headers["x-request-id"]
    assert MARK in failure["trace"]


def test_a_request_leaves_one_line_that_says_what_and_how_long(serve):
    served = serve("bm25")
    given = {"x-request-id": "my-id_1.2"}
    assert (
        served.client.post(SEARCH, json={"query": "image"}, headers=given).headers["x-request-id"]
        == "my-id_1.2"
    )
    [line] = served.log
    assert {key: line[key] for key in ("id", "method", "route", "status", "system", "batch")} == {
        "id": "my-id_1.2",
        "method": "POST",
        "route": "/v1/systems/{name}/search",
        "status": 200,
        "system": "bm25",
        "batch": 1,
    }
    assert line["ms"] > 0
    assert line["time"].endswith("Z")
    served.client.get("/healthz", headers={"x-request-id": "bad id\t!"})
    assert served.log[-1]["id"] != "bad id\t!"


@given(st.dictionaries(st.text(), st.text(), max_size=4))
@settings(max_examples=50)
def test_a_log_record_is_one_line_whatever_is_in_it(record):
    line = log_line(record)
    assert "\n" not in line
    assert json.loads(line) == record
