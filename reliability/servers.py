"""A real `retrograd serve` in a process of its own, and a small client for it.

The client speaks plain HTTP over one kept connection, so that a measurement holds no other library.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_SECONDS = 120.0


@dataclass(frozen=True)
class Running:
    """A server that listens."""

    process: subprocess.Popen[str]
    port: int
    log_file: Path

    def log(self) -> list[dict[str, Any]]:
        """What it has logged so far; lines that are no record become `{"text": ...}`."""
        found = []
        for line in self.log_file.read_text().splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            found.append(record if isinstance(record, dict) else {"text": line})
        return found

    def stop(self, seconds: float = 30.0) -> int:
        """Tell it to stop and wait; the exit code."""
        self.process.terminate()
        return self.process.wait(seconds)


@contextmanager
def running(
    folders: Sequence[str | Path], options: Sequence[str] = (), environment: dict[str, str] | None = None
) -> Iterator[Running]:
    """Serve folders on a free port of the loopback address until the block ends.

    Raises:
        RuntimeError: it ended, or said nothing in time.
    """
    command = [sys.executable, "-m", "retrograd", "serve", *map(str, folders), "--port", "0", *options]
    with tempfile.TemporaryDirectory() as name:
        log_file = Path(name) / "log"
        with log_file.open("w") as log:
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **(environment or {})},
            )
            try:
                yield Running(process, _port_of(process, log_file), log_file)
            finally:
                if process.poll() is None:
                    process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                assert process.stdout is not None
                process.stdout.close()


def _port_of(process: subprocess.Popen[str], log_file: Path) -> int:
    assert process.stdout is not None
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        ready, _, _ = select.select([process.stdout], [], [], 0.2)
        line = process.stdout.readline() if ready else ""
        if said := re.search(r"http://\S+?:(\d+) ", line):
            return int(said[1])
        if process.poll() is not None:
            break
    raise RuntimeError(f"the server did not start: {log_file.read_text()[-2000:]}")


class Client:
    """One kept connection; opened again where the server closed it."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of one request; text where the answer is none."""
        content = None if body is None else json.dumps(body)
        headers = {} if content is None else {"Content-Type": "application/json"}
        self._connection.request(method, path, content, headers)
        response = self._connection.getresponse()
        data = response.read()
        is_json = response.headers.get("content-type", "").startswith("application/json")
        return response.status, json.loads(data) if is_json else data.decode()

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()
