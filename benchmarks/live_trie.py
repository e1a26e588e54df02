"""The trie of docids at size: building it, changing it, merging it, searching a filtered part of it, and what
one document more or less costs a live generative system.

Random ids of 4 x 256 codes. Times are process CPU time, medians over `--repeats`. Filters allow the same
number of documents in catalogues of every size, so that a cost that grows with the catalogue would show.

    PYTHONPATH=src:. python benchmarks/live_trie.py --ids 1000000 10000000
    PYTHONPATH=src:. python benchmarks/live_trie.py --ids --filtered 10000 100000 1000000
    PYTHONPATH=src:. python benchmarks/live_trie.py --ids --live 5000 200000
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.decoding import commit, processor
from retrograd.constraints import AllowList, CsrTrie, LiveTrie
from retrograd.docid_table import DocidTable
from retrograd.docids.quantised import Quantised
from retrograd.models.blocks import BlockShape
from retrograd.models.encoder_decoder import EncoderDecoder, EncoderDecoderModel
from retrograd.models.inputs import Memory
from retrograd.models.tfidf_svd import TfidfSvd
from retrograd.models.vector_input import VectorInput
from retrograd.quantizers.residual import ResidualQuantizer
from retrograd.recipe import Recipe
from retrograd.search.engine import search_keys
from retrograd.search.generative import Beam
from retrograd.search.packing import native_trie
from retrograd.search.parts import Parts
from retrograd.system import Fitted, System, build_model
from retrograd.types import Corpus, Document
from retrograd.updates.live import LiveSystem

LEVELS, CODES = 4, 256
SIZES = (CODES,) * LEVELS
CHANGED = 100
"""Keys that join, or leave, in one step."""

TWINS = 8
"""Digits that tell documents of the same codes apart, in the live systems."""

RESULTS = Path(__file__).parent / "results"


class GivenMemory(torch.nn.Module):
    """An input encoder whose memory is its input."""

    width, fingerprint = 128, "given"

    def forward(self, batch: dict[str, torch.Tensor]) -> Memory:
        """The states as they came."""
        return Memory(batch["states"], batch["where"])


def keys_of(count: int, seed: int) -> np.ndarray:
    """(count, 4) int64 unique random codes in lexicographic order."""
    draw = np.random.default_rng(seed)
    words = np.empty(0, np.int64)
    while len(words) < count:
        words = np.unique(np.concatenate([words, draw.integers(0, CODES**LEVELS, count + count // 20)]))
    words = np.sort(words[draw.permutation(len(words))[:count]])
    return np.stack([words >> shift & 255 for shift in (24, 16, 8, 0)], axis=1)


def spent(job: Callable[[], Any], repeats: int) -> float:
    """Median CPU seconds."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        job()
        times.append(time.process_time() - start)
    return statistics.median(times)


def build_row(count: int, repeats: int) -> dict[str, Any]:
    """One catalogue: the cost of building and of changing it, the first per million ids."""
    keys, millions = keys_of(count, 0), count / 1e6
    shuffled = keys[np.random.default_rng(1).permutation(count)]
    built = spent(lambda: CsrTrie.from_keys(keys, SIZES), repeats) / millions
    anew = spent(lambda: CsrTrie.from_keys(shuffled, SIZES), repeats) / millions
    live = LiveTrie.of(keys, np.arange(count), SIZES)
    first = spent(lambda: (live.base.parent, live.base.node_of_key), 1)
    more = keys_of(CHANGED, 2)
    more = more[live.base.walk(more)[1] < LEVELS]
    numbers = np.arange(count, count + len(more))
    gone = keys[:: count // CHANGED][:CHANGED]
    joins = spent(lambda: live.changed(joined=more, numbers=numbers), repeats)
    leaves = spent(lambda: live.changed(gone=gone), repeats)
    changed = live.changed(joined=more, numbers=numbers, gone=gone)
    return {
        "ids": count,
        "mib_per_million": round(live.base.num_bytes / 2**20 / millions, 1),
        "build_s_per_million": round(built, 3),
        "build_unsorted_s_per_million": round(anew, 3),
        f"join_{CHANGED}_ms": round(1e3 * joins, 2),
        f"leave_{CHANGED}_ms": round(1e3 * leaves, 2),
        "first_change_extra_s": round(first, 3),
        "merge_s_per_million": round(spent(changed.merged, 1) / millions, 3),
    }


def filtered_row(count: int, allowed: int, repeats: int) -> dict[str, Any]:
    """One catalogue under a filter: making the allow-list, its door to the core, and a search through it."""
    keys = keys_of(count, 0)
    table = DocidTable(
        tokens=keys.reshape(-1).astype(np.int32),
        offsets=np.arange(count + 1) * LEVELS,
        pairs=np.repeat(np.arange(count), 2).reshape(-1, 2),
        document_ids=tuple(map(str, range(count))),
        level_sizes=SIZES,
    )
    torch.manual_seed(0)
    shape = BlockShape.of_width(128, layers=4, heads=4, feed_forward=4)
    model = EncoderDecoderModel(GivenMemory(), shape, SIZES, shared_vocabulary=False, tied=False).eval()
    inputs = {"states": torch.randn(8, 16, 128), "where": torch.ones(8, 16, dtype=torch.bool)}
    trie = CsrTrie.from_table(table)
    some = np.sort(np.random.default_rng(3).permutation(count)[:allowed])
    AllowList.from_documents(trie, table, some)  # what the first one prepares for all

    def search(constraint: Any) -> None:
        search_keys(model, inputs, constraint, width=10, engine="native")

    filtered = AllowList.from_documents(trie, table, some)
    for constraint in (trie, filtered):
        search(constraint)
    whole, part, made, door = [], [], [], []
    for _ in range(repeats):
        whole.append(spent(lambda: search(trie), 1))
        part.append(spent(lambda: search(filtered), 1))
        made.append(spent(lambda: AllowList.from_documents(trie, table, some), 1))
        fresh = AllowList.from_documents(trie, table, some)
        door.append(spent(functools.partial(native_trie, fresh), 1))
    milliseconds = [round(1e3 * statistics.median(times), 3) for times in (whole, part, made, door)]
    names = ("search_ms", "search_filtered_ms", "allow_list_ms", "to_core_ms")
    return {"ids": count, "allowed": allowed, **dict(zip(names, milliseconds, strict=True))}


def documents(first: int, count: int, seed: int) -> list[Document]:
    """Four of 500 words each."""
    words = np.random.default_rng(seed).integers(0, 500, (count, LEVELS)).tolist()
    return [
        Document(f"d{at}", " ".join(f"w{word}" for word in row)) for at, row in enumerate(words, start=first)
    ]


def saved_system(count: int, folder: Path) -> None:
    """A generative system without training, over documents with random ids."""
    corpus, encoder = Corpus(documents(0, count, 0)), TfidfSvd(dimensions=16)
    fitted = Fitted(docids=encoder.fit(corpus.contents[:2000]))
    vectors = encoder.build(fitted.docids).encode_document(corpus.contents[:2000])
    order = np.random.default_rng(1).permutation(count)
    table = DocidTable(
        tokens=np.column_stack([keys_of(count, 0), np.zeros(count)]).reshape(-1).astype(np.int32),
        offsets=np.arange(count + 1) * (LEVELS + 1),
        pairs=np.column_stack([np.arange(count), order]),
        document_ids=corpus.ids,
        level_sizes=(*SIZES, TWINS),
        state=ResidualQuantizer.fit(vectors, LEVELS, CODES, seed=0).state(),
    )
    reader = VectorInput(encoder=encoder, width=64)
    fitted.model = reader.fit(corpus.contents[:2000])
    docids = Quantised(encoder=encoder, quantizer="residual", levels=LEVELS, codes=CODES)
    recipe = Recipe(
        name="live",
        summary="for a benchmark",
        docids=docids,
        model=EncoderDecoder(encoder=reader, dropout=0.0),
        stages=(),
        search=Beam(width=10),
    )
    model = build_model(recipe, fitted, table, seed=0).eval()
    System.assemble(recipe, Parts(corpus, model, table, folder), fitted).save(folder)


def live_row(count: int, repeats: int) -> dict[str, Any]:
    """A live system: one document in, changed, out, each with its words encoded and its line on the disk; the
    first question after it; and the part of each change that only lists the documents."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "live"
        saved_system(count, folder)
        with LiveSystem.open(folder) as live:
            new = iter(documents(count, 2 * repeats + 2, 7))

            def ask() -> None:
                live.search("w1 w2 w3", k=5)

            live.add([next(new)])  # what the first change prepares for all
            ask()
            rows: dict[str, list[float]] = {
                "add": [],
                "update": [],
                "delete": [],
                "first_search": [],
                "search": [],
            }
            for at in range(repeats):
                rows["add"].append(spent(lambda: live.add([next(new)]), 1))
                rows["first_search"].append(spent(ask, 1))
                rows["search"].append(spent(ask, 1))
                other = Document(f"d{at}", f"w{at} w7")
                rows["update"].append(spent(functools.partial(live.update, [other]), 1))
                rows["delete"].append(spent(functools.partial(live.delete, [f"d{at + repeats}"]), 1))
            rows["corpus"] = [spent(lambda: Corpus(list(live.system.corpus)), repeats)]
    return {"documents": count} | {
        f"{name}_ms": round(1e3 * statistics.median(times), 2) for name, times in rows.items()
    }


def main() -> None:
    """Run, print and write `results/live_trie-<date>.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ids", type=int, nargs="*", default=[1_000_000])
    parser.add_argument("--filtered", type=int, nargs="*", default=[])
    parser.add_argument("--live", type=int, nargs="*", default=[])
    parser.add_argument("--allowed", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    date = datetime.date.today().isoformat()
    report = {
        "date": date,
        "commit": commit(),
        "clock": "CPU time of the process, medians; on a machine shared with other work",
        "processor": processor(),
        "built": [build_row(count, options.repeats) for count in options.ids],
        "filtered": [filtered_row(count, options.allowed, options.repeats) for count in options.filtered],
        "live": [live_row(count, options.repeats) for count in options.live],
    }
    print(json.dumps(report, indent=2))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"live_trie-{date}.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
