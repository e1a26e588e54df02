"""What a server costs over the library, and what it bears: closed-loop clients against `retrograd serve`.

One server for the default system, one for dense MiniLM search and one for BM25, all fitted on the shipped
sample. One after the other: the threads of torch wait awake as long as they are no more than the processors.
At one client, every question is asked over HTTP and of the library in turn, in one process; the overhead is
the difference of the medians. Over HTTP the processor rests between two answers, and what follows a rest
takes longer: so the library is also asked with such rests, and `paced` is the overhead over that. It needs a
quiet machine: a process that waits for its answer gives its core away, one that computes does not. At 8 and
32 clients, each sends its next question when the last is answered. Clients keep their connections and speak
plain HTTP.

    python -m benchmarks.serve --folder build/serve --threads 2
    python -m benchmarks.serve --folder build/serve --recipe dgi_plus --seconds 20
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reliability.servers import Client, running

CLIENTS = (1, 8, 32)
PROCESSES = 4
"""Of clients, at most: more would only take processor time from the server."""

K = 10

GOAL_MS = 2.0
RESULTS = Path(__file__).parent / "results"


def fitted(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """Systems by name, fitted on the shipped sample where they are missing."""
    from retrograd.data.dataset import load_dataset
    from retrograd.data.sample import sample_path
    from retrograd.recipes import recipe
    from retrograd.training.fit import fit

    for name in names:
        if not (folder / name / "manifest.json").exists():
            print(f"fitting {name}", file=sys.stderr)
            fit(recipe(name), load_dataset(sample_path("apibench")), folder / name)
    return {name: folder / name for name in names}


def questions() -> list[str]:
    """The queries of the sample, each once."""
    from retrograd.data.dataset import load_dataset
    from retrograd.data.sample import sample_path

    return list(dict.fromkeys(query.text for query in load_dataset(sample_path("apibench")).queries.values()))


def ask(client: Client, system: str, text: str) -> float:
    """Seconds of one question over HTTP.

    Raises:
        RuntimeError: it was not answered.
    """
    began = time.perf_counter()
    status, body = client.ask("POST", f"/v1/systems/{system}/search", {"query": text, "k": K})
    took = time.perf_counter() - began
    if status != 200:
        raise RuntimeError(f"{status}: {body}")
    return took


TURN, PAUSE, REST = 20, 0.05, 0.002
"""Questions of one turn, seconds between turns, and seconds between two questions of a paced turn: about what
passes between two answers over HTTP."""


def in_turn(port: int, name: str, folder: Path, texts: Sequence[str], seconds: float) -> dict[str, Any]:
    """One client, and the library in the same process, in turns of `TURN` questions.

    The threads of a finished call spin a while before they sleep: one question of the library right before
    each over HTTP would charge the server for them. The first of a turn is not counted on either side.
    """
    from retrograd.system import System

    system, client = System.load(folder), Client(port)

    def of_library(text: str) -> float:
        began = time.perf_counter()
        system.search([text], K)
        return time.perf_counter() - began

    def over_http(text: str) -> float:
        return ask(client, name, text)

    ways = ((over_http, 0.0), (of_library, 0.0), (of_library, REST))
    found: list[list[float]] = [[] for _ in ways]
    until = float("inf")
    for turn in range(10**9):
        asked = [texts[(turn * TURN + at) % len(texts)] for at in range(TURN)]
        for (way, rest), times in zip(ways, found, strict=True):
            taken = []
            for text in asked:
                time.sleep(rest)
                taken.append(way(text))
            time.sleep(PAUSE)
            times += taken[1:] if turn else []
        if turn == 0:
            until = time.monotonic() + seconds
        elif time.monotonic() > until:
            break
    over, library, paced = found
    figures = percentiles(over)
    medians = [percentiles(times)["p50_ms"] for times in (library, paced)]
    return {
        "clients": 1,
        "questions": len(over),
        "qps": len(over) / sum(over),
        **figures,
        "library_p50_ms": medians[0],
        "overhead_ms": figures["p50_ms"] - medians[0],
        "paced_library_p50_ms": medians[1],
        "paced_overhead_ms": figures["p50_ms"] - medians[1],
    }


def together(port: int, name: str, clients: int, seconds: float) -> dict[str, Any]:
    """Closed-loop clients in a few processes."""
    processes = min(clients, PROCESSES)
    shares = [clients // processes + (at < clients % processes) for at in range(processes)]
    command = [
        sys.executable,
        "-m",
        "benchmarks.serve",
        "--load",
        f"{port}:{name}",
        "--seconds",
        str(seconds),
    ]
    started = [
        subprocess.Popen(
            [*command, "--clients", str(share), "--first", str(at * 1000)], stdout=subprocess.PIPE, text=True
        )
        for at, share in enumerate(shares)
    ]
    took = [one for process in started for one in json.loads(process.communicate()[0])]
    return {"clients": clients, "questions": len(took), "qps": len(took) / seconds, **percentiles(took)}


def load(target: str, clients: int, seconds: float, first: int) -> None:
    """The side of the clients: prints the seconds of every question as JSON."""
    port, _, name = target.partition(":")
    texts, took = questions(), []
    ready = threading.Barrier(clients)

    def one(number: int) -> None:
        client, at = Client(int(port)), first + 97 * number
        ask(client, name, texts[at % len(texts)])
        ready.wait()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            at += 1
            took.append(ask(client, name, texts[at % len(texts)]))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(took))


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99 in milliseconds."""
    ordered = sorted(seconds)
    return {f"p{part}_ms": 1000 * ordered[int(part / 100 * (len(ordered) - 1))] for part in (50, 95, 99)}


ALONE = ("library_p50_ms", "overhead_ms", "paced_library_p50_ms", "paced_overhead_ms")
"""What is known at one client only."""


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        f"| system | clients | queries/s | p50 ms | p95 ms | p99 ms | {' | '.join(ALONE)} |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        alone = [f"{row[key]:.2f}" if key in row else "" for key in ALONE]
        figures = " | ".join(f"{row[key]:.1f}" for key in ("qps", "p50_ms", "p95_ms", "p99_ms"))
        lines.append(f"| {row['system']} | {row['clients']} | {figures} | {' | '.join(alone)} |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("build/serve"), help="where systems are kept")
    parser.add_argument("--recipe", default="generative", help="the default system")
    parser.add_argument("--threads", type=int, default=0, help="of torch, in server and library")
    parser.add_argument("--seconds", type=float, default=10.0, help="per system and number of clients")
    parser.add_argument(
        "--out", type=Path, help="result file; a dated one under benchmarks/results if not given"
    )
    parser.add_argument("--load", help=argparse.SUPPRESS)
    parser.add_argument("--clients", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load:
        load(given.load, given.clients, given.seconds, given.first)
        return
    os.environ["RETROGRAD_CACHE"] = "off"
    from retrograd.cli.settings import use_threads

    folders = fitted(given.folder, (given.recipe, "dense", "bm25"))
    use_threads(given.threads)
    rows, batches, texts = [], [], questions()
    for name, folder in folders.items():
        with running([f"{name}={folder}"], ["--read-only", "--threads", str(given.threads)]) as server:
            for clients in CLIENTS:
                row = (
                    in_turn(server.port, name, folder, texts, given.seconds)
                    if clients == 1
                    else together(server.port, name, clients, given.seconds)
                )
                rows.append({"system": name, **row})
            batches += [line["batch"] for line in server.log() if line.get("batch")]
    print(table(rows))
    mean = sum(batches) / len(batches)
    print(f"\nquestions answered together: {max(batches)} at most, {mean:.1f} in the mean")
    for key in ALONE[1::2]:
        worst = max(row[key] for row in rows if key in row)
        print(f"median {key} at one client: {worst:.2f} at most (goal {GOAL_MS})")
    write(rows, given)


def write(rows: Sequence[dict[str, Any]], given: argparse.Namespace) -> None:
    """The dated result file."""
    from benchmarks.decoding import commit, processor

    today = datetime.date.today().isoformat()
    path = given.out or RESULTS / f"{today}-serve.json"
    content = {
        "date": today,
        "commit": commit(),
        "processor": processor(),
        "load_average_at_end": round(os.getloadavg()[0], 1),
        "threads": given.threads,
        "seconds": given.seconds,
        "k": K,
        "rows": list(rows),
    }
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
