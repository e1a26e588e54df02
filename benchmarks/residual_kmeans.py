"""Residual codes of many vectors: our fit against faiss k-means level by level, at equal held-out error.

Every side fits 4 codebooks of 256 and codes all vectors. `faiss` is `faiss.Kmeans` as it comes, which looks
at 256 vectors per centre, `faiss, all` the same on all of them; both then assign all to find what is left for
the next level. `ours, all` is our kernel with as many iterations on all vectors. Each side has a process of
its own, whose CPU time and memory are taken from the start of the fit; the error is the mean squared distance
of vectors that nobody was fitted on to what their codes stand for.

Vectors are those of MiniLM for the documents of the collections in RETROGRAD_DATA, and where these end, unit
vectors between a document and another one of its cluster.

    PYTHONPATH=src OMP_NUM_THREADS=1 python benchmarks/residual_kmeans.py --vectors 1000000
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from grid import hardware
from operator_results import collection, vectors

LEVELS, CODES, HELD = 4, 256, 20_000
COLLECTIONS = ("metaqa", "amazon_beauty_search", "scifact", "cranfield", "cisi", "apibench")
ITERATIONS = 25
"""Of faiss as it comes, and of ours on all vectors."""

RESULTS = Path(__file__).parent / "results"


def catalogue(count: int) -> tuple[np.ndarray, np.ndarray]:
    """(count, d) vectors to fit and (HELD, d) others, unit rows, drawn alike."""
    from retrograd.quantizers.kmeans import kmeans

    real = np.concatenate([vectors(collection(name).corpus.contents, "document") for name in COLLECTIONS])
    draw, wanted = np.random.default_rng(1), count + HELD
    found = np.empty((wanted, real.shape[1]), np.float32)
    found[: len(real)] = real[:wanted]
    _, own = kmeans(real, CODES, seed=0, iterations=5)
    members, size = np.argsort(own, kind="stable"), np.bincount(own)
    begin = np.cumsum(size) - size
    for first in range(len(real), wanted, 1 << 16):
        rows = draw.integers(0, len(real), min(1 << 16, wanted - first))
        share = draw.uniform(0.1, 0.5, (len(rows), 1)).astype(np.float32)
        other = real[members[begin[own[rows]] + draw.integers(0, size[own[rows]])]]
        between = (1 - share) * real[rows] + share * other
        found[first : first + len(rows)] = between / np.linalg.norm(between, axis=1, keepdims=True)
    draw.shuffle(found)
    return found[:count], found[count:]


def by_faiss(points: np.ndarray, **options: Any) -> list[np.ndarray]:
    """Codebooks level by level, as somebody would write it with faiss; all vectors are coded on the way."""
    import faiss

    faiss.omp_set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    left, books = points.copy(), []
    codes = np.empty((len(points), LEVELS), np.int64)
    for level in range(LEVELS):
        fitted = faiss.Kmeans(points.shape[1], CODES, niter=ITERATIONS, seed=level, **options)
        fitted.train(left)
        codes[:, level] = fitted.index.search(left, 1)[1][:, 0]
        left -= fitted.centroids[codes[:, level]]
        books.append(fitted.centroids.copy())
    return books


def ours(points: np.ndarray, *, on_all: bool = False) -> list[np.ndarray]:
    """The library's own fit, and the codes of all vectors."""
    from retrograd.quantizers import ResidualKMeans

    if on_all:  # the package gives the module's name to its function
        vars(import_module("retrograd.quantizers.kmeans"))["MANY"] = len(points)
    quantizer = ResidualKMeans().fit(points, LEVELS, CODES, seed=0)
    quantizer.encode(points)
    return list(quantizer.codebooks)


SIDES: dict[str, Callable[[np.ndarray], list[np.ndarray]]] = {
    "ours": ours,
    "ours, all": lambda points: ours(points, on_all=True),
    "faiss": by_faiss,
    "faiss, all": lambda points: by_faiss(points, max_points_per_centroid=len(points)),
}


def held_out_error(books: list[np.ndarray], held: np.ndarray) -> float:
    """Mean squared distance of (HELD, d) to what their codes stand for."""
    left = held.astype(np.float64)
    for book in books:
        centres = book.astype(np.float64)
        left -= centres[((centres**2).sum(1) - 2 * left @ centres.T).argmin(1)]
    return float((left**2).sum(1).mean())


def one_side(side: str, folder: Path) -> None:
    """In a process of its own: fit, measure, print."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    points, held = np.load(folder / "points.npy"), np.load(folder / "held.npy")
    SIDES[side](points[: 1 << 12])  # what is loaded and allocated once
    start, began, clock = _resident(), time.process_time(), time.monotonic()
    books = SIDES[side](points)
    took, wall = time.process_time() - began, time.monotonic() - clock
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {"cpu_seconds": round(took, 1), "wall_seconds": round(wall, 1)}
    found |= {"peak_mib": round(peak), "peak_beyond_vectors_mib": round(peak - start)}
    print(json.dumps(found | {"held_out_error": round(held_out_error(books, held), 5)}))


def _resident() -> float:
    import psutil

    return psutil.Process().memory_info().rss / 2**20


def main() -> None:
    """All sides, one after the other; a dated file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        one_side(options.side, options.folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        points, held = catalogue(options.vectors)
        np.save(Path(folder) / "points.npy", points)
        np.save(Path(folder) / "held.npy", held)
        del points
        found = {}
        for side in options.sides:
            command = [sys.executable, __file__, "--side", side, "--folder", folder]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found[side] = json.loads(said.splitlines()[-1])
            print(side, found[side], flush=True)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    threads = os.environ.get("OMP_NUM_THREADS", str(os.cpu_count()))
    report = {"date": today, "hardware": hardware(), "threads": threads, "vectors": options.vectors}
    path = RESULTS / f"residual-kmeans-{today}.json"
    path.write_text(json.dumps(report | {"levels": LEVELS, "codes": CODES, "sides": found}, indent=1) + "\n")
    print(path.name)


if __name__ == "__main__":
    main()
