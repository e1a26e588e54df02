"""The process itself: what it refuses to start with, how it treats raw connections, and how it ends."""

import http.client
import os
import socket
import threading
import time

import pytest

from reliability.servers import Client, running
from retrograd.errors import InputError
from retrograd.server.run import bound, named_folders, own_names, read_token
from retrograd.updates.live import LiveSystem

TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def server(fitted, tmp_path_factory):
    """A real server over one small system, which nobody changes."""
    with running([f"bm25={fitted('bm25')}"], ["--read-only"]) as started:
        yield started


def test_names_come_from_folders_and_are_unique(tmp_path):
    folder = tmp_path / "My_System"
    folder.mkdir()
    assert named_folders([str(folder), f"other={folder}"]) == {"my_system": folder, "other": folder}
    for wrong in ("a b", "../..", "", "x" * 65, "Name=dir"):
        with pytest.raises(InputError, match="NAME=DIR"):
            named_folders([wrong if "=" in wrong else str(tmp_path / wrong / "ü")])
    with pytest.raises(InputError, match="two systems"):
        named_folders([str(folder), str(folder)])


def test_a_token_comes_from_a_file_or_the_environment_and_is_long_enough(tmp_path, monkeypatch):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert read_token(file) == TOKEN
    monkeypatch.delenv("RETROGRAD_TOKEN", raising=False)
    assert read_token(None) == ""
    monkeypatch.setenv("RETROGRAD_TOKEN", TOKEN)
    assert read_token(None) == TOKEN
    for weak in ("", "short", "with blanks in between it", "ünïcödé-tökén-løng"):
        file.write_text(weak)
        with pytest.raises(InputError, match="token"):
            read_token(file)


def test_an_address_says_whether_others_reach_it():
    for host, only_here in (("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)):
        listener, loopback = bound(host, 0)
        listener.close()
        assert loopback is only_here
    assert own_names("::1")[0] == "[::1]"
    for wrong in ("no-such-host.invalid", "203.0.113.7", "x" * 300):
        with pytest.raises(InputError):
            bound(wrong, 0)


def test_what_cannot_be_served_is_one_line(cli, fitted, tmp_path, monkeypatch):
    monkeypatch.delenv("RETROGRAD_TOKEN", raising=False)
    folder = fitted("bm25")
    assert "--token-file" in cli("serve", folder, "--host", "0.0.0.0", "--port", 0).error
    assert "manifest.json" in cli("serve", tmp_path, "--port", 0).error
    assert cli("serve", folder, "--token-file", tmp_path / "none").error
    assert cli("serve", folder, "--deadline", 0).error
    assert cli("serve").error
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "choose another --port" in cli("serve", folder, "--port", taken.getsockname()[1]).error


def test_a_folder_somebody_else_changes_is_refused(cli, copied):
    folder = copied("bm25")
    with LiveSystem.open(folder):
        assert str(os.getpid()) in cli("serve", folder, "--port", 0).error


def test_fifty_megabytes_over_a_socket_end_in_413(server):
    block = b"x" * (1 << 20)
    for headers in ({"Content-Length": str(50 << 20)}, {"Transfer-Encoding": "chunked"}):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        chunked = "Transfer-Encoding" in headers
        connection.request(
            "POST",
            "/v1/systems/bm25/search",
            (block for _ in range(50)),
            {**headers, "Content-Type": "application/json"},
            encode_chunked=chunked,
        )
        response = connection.getresponse()
        assert response.status == 413
        assert len(response.read()) < 4096
        connection.close()


@pytest.mark.parametrize(
    "raw",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"POST /v1/systems/bm25/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    ],
)
def test_what_is_no_http_gets_a_short_400(server, raw):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(raw)
        answer = connection.recv(8192)
    assert answer.startswith(b"HTTP/1.1 4")
    assert len(answer) < 4096
    assert b"yyyy" not in answer


def test_another_host_is_refused_over_the_wire(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", "/v1/systems", headers={"Host": "evil.example"})
    response = connection.getresponse()
    assert response.status == 400
    assert b"evil" not in response.read()


def _head(length):
    return (
        b"POST /v1/systems/bm25/search HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % length
    )


def test_a_stop_lets_requests_finish_and_keeps_what_was_written(copied):
    folder = copied("bm25")
    body = b'{"query": "zebra"}'
    with running([f"bm25={folder}"]) as server:
        client = Client(server.port)
        assert client.ask("PUT", "/v1/systems/bm25/documents/z", {"text": "zebra"})[0] == 200
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as slow:
            slow.sendall(_head(len(body)) + body[:5])
            time.sleep(0.3)
            server.process.terminate()
            until = time.monotonic() + 5
            while (status := Client(server.port).ask("GET", "/readyz")[0]) == 200:
                assert time.monotonic() < until
            assert status == 503
            status, error = Client(server.port).ask("GET", "/v1/systems")
            assert (status, error["error"]["code"]) == (503, "draining")
            slow.sendall(body[5:])
            assert b" 200 " in slow.recv(65536).split(b"\r\n")[0]
        assert server.process.wait(20) == 0
        lines = server.log()
    assert all("time" in line for line in lines), lines
    assert {line["route"] for line in lines} >= {"/readyz", "/v1/systems/{name}/search"}
    with LiveSystem.open(folder) as live:
        assert live.generation == 1
        assert live.search(["zebra"]).documents() == {"0": ["z"]}


def test_told_twice_it_waits_for_nobody(copied):
    with (
        running([f"bm25={copied('bm25')}"]) as server,
        socket.create_connection(("127.0.0.1", server.port)) as slow,
    ):
        slow.sendall(_head(100))
        time.sleep(0.3)
        server.process.terminate()
        time.sleep(0.3)
        assert server.process.poll() is None
        assert server.stop(5) == 0


def test_many_connections_at_once_are_all_answered(server):
    wrong = []

    def ask(number):
        client = Client(server.port)
        for _ in range(5):
            status, body = client.ask("POST", "/v1/systems/bm25/search", {"query": f"image {number}"})
            if status != 200 or body["results"][0]["query"] != f"image {number}":
                wrong.append((number, status))
        client.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
