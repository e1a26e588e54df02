"""The process: take the address, open the systems, serve, and stop without dropping anybody.

Knows sockets, signals and folders; what is answered is the application's business.
"""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import os
import re
import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrograd.errors import InputError
from retrograd.server.settings import LARGEST_HEAD, NAME, Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

SHORTEST_TOKEN = 16
FIRST_QUESTION = "is everything loaded"
KEEP_ALIVE = 30
"""Seconds a connection may idle."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says."""

    host: str = "127.0.0.1"
    port: int = 8765
    token: str = ""
    threads: int = 0
    """Of torch, for each system; 0 leaves the choice to it."""

    deadline: float = 10.0
    read_only: bool = False
    log_queries: bool = False
    grace: float = 10.0
    """Seconds that requests under way get to finish when the server is told to stop."""


def named_folders(given: Sequence[str]) -> dict[str, Path]:
    """`DIR` or `NAME=DIR` each; a folder without a name lends its own.

    Raises:
        InputError: a name with other characters than `[a-z0-9_-]`, too long, or given twice.

    >>> list(named_folders(["runs/My-System", "other=runs/x"]))
    ['my-system', 'other']
    """
    found: dict[str, Path] = {}
    for text in given:
        name, equals, folder = text.partition("=")
        if not equals or _is_there(text):
            name, folder = Path(text).resolve().name.lower(), text
        if not NAME.fullmatch(name):
            raise InputError(
                f"a system cannot be called {name!r:.80}: write NAME=DIR, NAME of a-z, 0-9, - and _"
            )
        if name in found:
            raise InputError(f"two systems are called {name!r}; write NAME=DIR for one of them")
        found[name] = Path(folder)
    return found


def _is_there(text: str) -> bool:
    try:
        return Path(text).exists()
    except OSError:  # too long to be the name of anything
        return False


def read_token(path: Path | None) -> str:
    """The token in a file, or else in RETROGRAD_TOKEN; "" for none.

    Raises:
        InputError: it is too short to keep anybody out, or holds blanks or other odd characters.
    """
    text = (
        os.environ.get("RETROGRAD_TOKEN", "") if path is None else path.read_text("utf-8", "replace")
    ).strip()
    if path is None and not text:
        return ""
    if len(text) < SHORTEST_TOKEN or not re.fullmatch(r"[!-~]+", text):
        raise InputError(
            f"a token has at least {SHORTEST_TOKEN} printable ASCII characters without blanks, "
            "such as the output of `openssl rand -hex 24`",
            path=path,
        )
    return text


def serve(folders: Mapping[str, Path], options: Options) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        InputError: the address is taken or not this machine's, needs a token, or a folder cannot be opened.
        ArtifactError: a system is damaged.
    """
    from retrograd.server.application import build
    from retrograd.updates.live import LiveSystem

    listener, loopback = bound(options.host, options.port)
    with listener, ExitStack() as opened:
        if not loopback and not options.token:
            raise InputError(
                f"{options.host} can be reached from elsewhere: give --token-file, or set RETROGRAD_TOKEN"
            )
        systems = {}

        def load(name: str, folder: Path) -> None:
            systems[name] = LiveSystem.open(folder, write=not options.read_only)
            opened.callback(systems[name].close)
            systems[name].search(FIRST_QUESTION, 1)  # encoders are loaded now, not while somebody waits

        # The threads that help one thread to compute live as long as it does, and with more of them than
        # processors all of them sleep at once instead of waiting awake: this one must not outlive its work.
        with ThreadPoolExecutor(1, initializer=_use_threads, initargs=(options.threads,)) as loading:
            for name, folder in folders.items():
                loading.submit(load, name, folder).result()
        settings = Settings(
            deadline=options.deadline,
            token=options.token,
            token_for_reads=not loopback,
            hosts=own_names(options.host) if loopback else (),
            log_queries=options.log_queries,
        )
        app = build(
            systems,
            settings,
            read_only=options.read_only,
            page=page_folder(),
            begin=lambda: _use_threads(options.threads),
        )
        gc.collect()
        gc.freeze()  # weights and corpus stay: no later collection walks over them
        asyncio.run(_serve(app, listener, options, ", ".join(systems)))


def page_folder() -> Path | None:
    """Where the static files of the page are, if they are installed."""
    folder = Path(__file__).parents[1] / "web" / "static"
    return folder if (folder / "index.html").is_file() else None


def own_names(host: str) -> tuple[str, ...]:
    """By which names a server on a loopback address may be called, as a Host header writes them."""
    given = f"[{host}]" if ":" in host else host.lower()
    return tuple(dict.fromkeys((given, "localhost", "127.0.0.1", "[::1]")))


def bound(host: str, port: int) -> tuple[socket.socket, bool]:
    """A socket that holds the address, and whether only this machine can reach it.

    Raises:
        InputError: there is no such address here, or somebody else has the port.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or "0.0.0.0", port, type=socket.SOCK_STREAM
        )[0]
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"--host {host:.80}: {getattr(error, 'strerror', None) or 'no such address'}"
        ) from None
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise InputError(
            f"cannot listen on {host}:{port}: {(error.strerror or '').lower()}; choose another --port"
        ) from None
    return listener, ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback


def _use_threads(threads: int) -> None:
    if threads:
        import torch

        torch.set_num_threads(threads)


async def _serve(app: FastAPI, listener: socket.socket, options: Options, names: str) -> None:
    """Run until told to stop; then refuse what is new, finish what is under way, and end."""
    import uvicorn

    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=LARGEST_HEAD,
    )
    server, loop, traffic = uvicorn.Server(config), asyncio.get_running_loop(), app.state.traffic
    draining: list[asyncio.Task[None]] = []

    async def drain() -> None:
        until = loop.time() + options.grace
        while traffic.in_flight and loop.time() < until:
            await asyncio.sleep(0.02)
        server.should_exit = True

    def stop(number: int, frame: Any) -> None:
        del number, frame
        if traffic.draining:  # told twice: now
            server.should_exit = server.force_exit = True
        else:
            traffic.draining = True
            loop.call_soon_threadsafe(lambda: draining.append(loop.create_task(drain())))

    server.handle_exit = stop  # type: ignore[method-assign, assignment]
    serving = loop.create_task(server.serve(sockets=[listener]))
    while not (server.started or serving.done()):
        await asyncio.sleep(0.01)
    host, port = listener.getsockname()[:2] if not serving.done() else ("", 0)
    if port:
        shown = f"[{host}]" if ":" in host else host
        print(f"serving {names} on http://{shown}:{port} (stop with Ctrl-C)", flush=True)
    await serving
