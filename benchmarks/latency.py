"""One query from text to documents, for catalogues of three sizes: generated ids, MiniLM with a graph, BM25.

    PYTHONPATH=src OMP_NUM_THREADS=1 python benchmarks/latency.py --documents 10000 100000 1000000

What is timed is `System.search` for ten documents, everything included: the text encoded, ids decoded or
neighbours found, documents resolved. Queries are real ones of product search, none of them twice, and no
vector of a query comes from a cache. Sides take turns query by query, batch by batch; compared are medians of
CPU time.

Documents are real titles of products where these suffice; beyond, each is half the words of one and half of
another one of its cluster, with the unit vector between theirs, so that words, vectors and codes are as
skewed as the real ones. Networks of ids have random weights: speed does not depend on what they learnt, and
quality is measured elsewhere. `generative` is the default recipe, which reads the query with MiniLM too;
`own encoder` is the same with word pieces and a small encoder of its own in the compiled core.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from grid import hardware
from operator_results import collection, vectors
from report import markdown

from retrograd.docids.inputs import DocidInputs
from retrograd.indexes.faiss_index import Hnsw
from retrograd.models.token_input import TokenInput
from retrograd.quantizers.kmeans import kmeans
from retrograd.recipe import Recipe
from retrograd.recipes import recipe
from retrograd.search.nearest import VECTORS, Nearest
from retrograd.search.parts import Parts
from retrograd.system import Fitted, System, build_model
from retrograd.types import Corpus, Document, Query

COLLECTION, CLUSTERS, ANSWERS = "amazon_beauty_search", 256, 10
BATCHES = (1, 32)
GOAL = 0.5
"""CPU time of generated ids over that of MiniLM and a graph, at most."""

GRAPH = Hnsw(ef_construction=40)
"""As much care while linking as faiss takes by itself: a million vectors are linked in minutes."""

RESULTS = Path(__file__).parent / "results"


def catalogue(count: int) -> tuple[Corpus, np.ndarray]:
    """Documents, and their vectors (count, d) float32."""
    real = collection(COLLECTION).corpus
    made, known = list(real)[:count], vectors(real.contents, "document")
    found = np.empty((count, known.shape[1]), np.float32)
    found[: len(real)] = known[:count]
    words = [document.contents.split() for document in real]
    _, own = kmeans(known, CLUSTERS, seed=0)
    members, size = np.argsort(own, kind="stable"), np.bincount(own)
    begin, draw = np.cumsum(size) - size, np.random.default_rng(0)
    for number in range(len(real), count):
        one = int(draw.integers(len(real)))
        other = int(members[begin[own[one]] + draw.integers(size[own[one]])])
        mixed = [*_half(words[one], draw), *_half(words[other], draw)]
        made.append(Document(f"made-{number}", " ".join(mixed)))
        share = np.float32(draw.uniform(0.3, 0.7))
        between = share * known[one] + (1 - share) * known[other]
        found[number] = between / np.linalg.norm(between)
    return Corpus(made), found


def _half(words: Sequence[str], draw: np.random.Generator) -> list[str]:
    kept = np.sort(draw.permutation(len(words))[: (len(words) + 1) // 2])
    return [words[at] for at in kept.tolist()]


def systems(corpus: Corpus, made: np.ndarray, folder: Path) -> dict[str, System]:
    """Ready to answer, by name."""
    generative, bm25, dense = recipe("generative"), recipe("bm25"), recipe("dense")
    inputs = DocidInputs(corpus, 0, lambda *_: made)
    table = generative.docids.assign(inputs)
    model: Any = generative.model
    small = replace(generative, model=replace(model, encoder=TokenInput(width=model.encoder.width)))
    found = {}
    for name, chosen in (("generative", generative), ("generative, own encoder", small)):
        config: Any = chosen.model
        # word pieces of the first documents: a million teach no other ones
        fitted = Fitted(model=config.fit(corpus.contents[:20_000]))
        network = build_model(chosen, fitted, table, 0).eval()
        found[name] = _assembled(chosen, Parts(corpus, network, table, folder / name), fitted)
    frozen: Any = dense.model
    fitted = Fitted(model=frozen.fit(corpus.contents[:1]))
    for name, search in (("MiniLM + HNSW", Nearest(index=GRAPH)), ("MiniLM, exact", Nearest())):
        network = build_model(dense, fitted, None, 0)
        parts = Parts(corpus, network, None, folder / name, {VECTORS: made})
        found[name] = _assembled(replace(dense, search=search), parts, fitted)
    found["BM25"] = _assembled(bm25, Parts(corpus, None, None, folder / "bm25"), Fitted())
    return found


def _assembled(chosen: Recipe, parts: Parts, fitted: Fitted) -> System:
    parts.folder.mkdir(parents=True)
    return System.assemble(chosen, parts, fitted)


def measure(built: dict[str, System], queries: Sequence[str], repeats: int) -> dict[str, dict[str, Any]]:
    """Milliseconds a query of each side: CPU time and wall clock, by batch."""
    asked = [Query(str(at), text) for at, text in enumerate(queries)]
    taken: dict[str, dict[int, list[tuple[float, float]]]] = {
        side: {b: [] for b in BATCHES} for side in built
    }
    for system in built.values():
        system.search(asked[-2:], ANSWERS)  # what is opened on first use
    for batch in BATCHES:
        for number in range(repeats):
            part = asked[number * batch : (number + 1) * batch]
            for side, system in built.items():
                began, clock = time.process_time(), time.perf_counter()
                system.search(part, ANSWERS)
                times = (time.process_time() - began, time.perf_counter() - clock)
                taken[side][batch].append((1000 * times[0] / batch, 1000 * times[1] / batch))
    return {
        side: {
            str(batch): {
                "cpu_ms": round(statistics.median(cpu for cpu, _ in times), 2),
                "p95_cpu_ms": round(float(np.quantile([cpu for cpu, _ in times], 0.95)), 2),
                "wall_ms": round(statistics.median(wall for _, wall in times), 2),
            }
            for batch, times in of_side.items()
        }
        for side, of_side in taken.items()
    }


def table(report: dict[str, Any]) -> str:
    """Median CPU milliseconds a query, and how many times that of MiniLM with a graph."""
    columns = [(size, str(batch)) for size in report["sizes"] for batch in BATCHES]
    peer = "MiniLM + HNSW"
    rows = []
    for side in next(iter(report["sizes"].values()))["sides"]:
        cells = []
        for size, batch in columns:
            sides = report["sizes"][size]["sides"]
            own, other = (sides[name][batch]["cpu_ms"] for name in (side, peer))
            cells.append(f"{own:.2f} ({own / other:.2f})")
        rows.append([side, *cells])
    return markdown(["", *(f"{int(size):,} documents, batch {batch}" for size, batch in columns)], rows)


def main() -> None:
    """Measure, print the table, write a dated file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=50)
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    texts = [query.text for query in collection(COLLECTION).queries.values()]
    texts = list(dict.fromkeys(texts))[: options.repeats * max(BATCHES)]
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    report: dict[str, Any] = {"date": today, "hardware": hardware(), "threads": torch.get_num_threads()}
    report |= {"goal": GOAL, "sizes": {}}
    for count in options.documents:
        corpus, made = catalogue(count)
        kept, os.environ["RETROGRAD_CACHE"] = os.environ.get("RETROGRAD_CACHE", ""), "off"
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            built = systems(corpus, made, Path(folder))
            print(f"{count:,} documents ready after {time.monotonic() - began:.0f} s", flush=True)
            load = os.getloadavg()[0]
            sides = measure(built, texts, options.repeats)
            report["sizes"][str(count)] = {"load_average": round(load, 2), "sides": sides}
        os.environ["RETROGRAD_CACHE"] = kept
        print(table(report), flush=True)
    path = RESULTS / f"latency-{today}.json"
    path.write_text(json.dumps(report, indent=1) + "\n")
    print(path.name)


if __name__ == "__main__":
    main()
