"""Trained product codes against faiss's at equal, double and fourfold bytes, on MiniLM vectors.

    python benchmarks/trainable_pq.py run --kinds tune             # every setting, on a part cut from train
    python benchmarks/trainable_pq.py run --kinds claim --seeds 5  # the best setting, on evaluation splits
    python benchmarks/trainable_pq.py table --out build/trainable_pq.md

Both runs are resumable: one JSON per cell. A setting is chosen once for all collections, by the mean over
them of nDCG@10 on the tune part; weights are chosen on the same part. No learnt query shares a judged
document with a tune query, so that neither choice rewards learning documents by heart.

`exact` is no compression, `pq`, `opq` and `rq` are faiss's, trained on the same vectors; `start` is our own
rotation and k-means before any training, `map` trains a linear map of the queries over it and nothing else.
The number after @ is bytes per vector; codebooks, which all vectors share, are not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from grid import Cell, Collection, command_line, judged
from report import DIFFERENCES, QUALITY, markdown, paired_table, quality, read_files

from retrograd.data.dataset import Dataset, load_dataset
from retrograd.data.splits import tune_cut
from retrograd.evaluation.measures import Scores, evaluate
from retrograd.types import Qrels, Query, Ranking

FOLDER = "build/trainable_pq"
DEPTH = 10
COLLECTIONS = {
    "cranfield": Collection("train_clean", {"cranfield dev+test": ("dev", "test")}),
    "scifact": Collection("train_clean", {"scifact dev": ("dev",)}),
    "amazon_beauty_search": Collection("train", {"amazon_beauty_search dev": ("dev",)}),
}
FAISS = tuple(f"{kind}@{size}" for kind in ("pq", "opq", "rq") for size in (8, 16, 32))
CONTROLS = tuple(f"{kind}@{size}" for kind in ("start", "map") for size in (8, 16))
TRAINED = tuple(
    f"{kind}@{size}" for kind in ("trained", "trained_map", "trained_residual") for size in (8, 16)
)
SETTINGS: dict[str, dict[str, float]] = {
    "distil": {},
    "distil_cold": {"temperature": 0.02},
    "distil_slow": {"learning_rate": 1e-4},
    "distil_fast": {"learning_rate": 1e-3},
    "labelled_only": {"own_queries": 0.0},
    "both": {"labels": 0.3},
}
"""Of `QuantizerTraining`, beside its defaults; the number of steps is chosen within each by the looks."""

PAIRS = (
    *((f"at equal bytes ({size})", f"trained@{size}", f"opq@{size}") for size in (8, 16)),
    *((f"at half the bytes of {2 * size}", f"trained@{size}", f"opq@{2 * size}") for size in (8, 16)),
    *((f"with a map of the queries ({size})", f"trained_map@{size}", f"map@{size}") for size in (8, 16)),
    *((f"what training adds to its start ({size})", f"trained@{size}", f"start@{size}") for size in (8, 16)),
    *((f"residual, at equal bytes ({size})", f"trained_residual@{size}", f"rq@{size}") for size in (8, 16)),
)


class Part(NamedTuple):
    """Some queries with their vectors and judgements."""

    queries: list[Query]
    vectors: np.ndarray
    qrels: Qrels


class Task(NamedTuple):
    """A collection as vectors."""

    dataset: Dataset
    documents: np.ndarray
    learn: Part
    tune: Part
    claims: dict[str, Part]


@cache
def task(collection: str) -> Task:
    """Vectors from the embedding cache where it has them."""
    from retrograd.models.embedding_cache import cached
    from retrograd.models.text_encoder import MiniLM, encode_as

    dataset = load_dataset(Path(os.environ["RETROGRAD_DATA"]) / collection)
    encoder, plan = cached(MiniLM().build({})), COLLECTIONS[collection]

    def part(queries: list[Query], qrels: Qrels) -> Part:
        chosen = {query.id: qrels[query.id] for query in queries}
        return Part(queries, encode_as(encoder, [query.text for query in queries], "query"), chosen)

    queries, qrels = judged(dataset, (plan.train,))
    learn, tune = tune_cut(queries)
    held = {document for query in tune for document in qrels[query.id]}
    learn = [query for query in learn if held.isdisjoint(qrels[query.id])]
    claims = {claim: part(*judged(dataset, splits)) for claim, splits in plan.claims.items()}
    documents = encode_as(encoder, dataset.corpus.contents, "document")
    return Task(dataset, documents, part(learn, qrels), part(tune, qrels), claims)


def cells(seeds: int) -> list[Cell]:
    """(collection, system, seed, kind); the system of a tune cell names its setting."""
    tune = [(f"{system}+{name}", 0, "tune") for name in SETTINGS for system in TRAINED]
    tune += [(f"{system}+{name}", 0, "tune") for name in SETTINGS for system in CONTROLS if "map" in system]
    once = [("exact", 0, "claim")]
    claim = [(s, seed, "claim") for seed in range(seeds) for s in (*FAISS, *CONTROLS, *TRAINED)]
    return [(collection, *run) for run in (*tune, *once, *claim) for collection in COLLECTIONS]


def chosen(system: str, folder: Path) -> str:
    """The setting with the best mean over the collections on the tune part.

    Raises:
        SystemExit: a tune cell is missing.
    """
    means = {}
    for name in SETTINGS:
        found = [folder / f"tune.{collection}.{system}+{name}.0.json" for collection in COLLECTIONS]
        missing = [path.name for path in found if not path.exists()]
        if missing:
            raise SystemExit(f"{missing[0]} is not there; run the cells of kind tune first")
        means[name] = np.mean([json.loads(path.read_text())["tune"]["nDCG@10"] for path in found])
    return max(means, key=lambda name: means[name])


def run_cell(collection: str, system: str, seed: int, kind: str) -> dict[str, Any]:
    """Code the documents one way and measure the ranking of what the codes stand for."""
    import torch

    torch.set_num_threads(1)
    found, started = task(collection), time.monotonic()
    system, _, setting = system.partition("+")
    name, _, size = system.partition("@")
    if not setting and system in (*TRAINED, *CONTROLS) and name != "start":
        setting = chosen(system, folder_of(sys.argv))
    result: dict[str, Any] = {"setting": setting}
    if name in ("exact", "pq", "opq", "rq"):
        decoded, turned = by_faiss(name, int(size or 0), found.documents, seed), lambda vectors: vectors
    else:
        decoded, turned, told = by_training(name, int(size), found, seed, setting)
        result |= told
    result["seconds"] = time.monotonic() - started
    if kind == "tune":
        return result | {"tune": scores(found, found.tune, decoded, turned).mean}
    result["claims"] = {}
    for claim, part in found.claims.items():
        of_claim = scores(found, part, decoded, turned)
        result["claims"][claim] = {"mean": of_claim.mean, "per_query": of_claim.per_query}
    return result


def folder_of(arguments: list[str]) -> Path:
    """Where the cells of this run lie."""
    return Path(arguments[arguments.index("--folder") + 1] if "--folder" in arguments else FOLDER)


def scores(found: Task, part: Part, decoded: np.ndarray, turned: Any) -> Scores:
    """nDCG@10 of inner products, ties by place."""
    import torch

    from retrograd.indexes.exhaustive import nearest_rows

    rows = nearest_rows(torch.from_numpy(decoded), torch.from_numpy(turned(part.vectors)), DEPTH).numpy()
    places = np.broadcast_to(-np.arange(rows.shape[1], dtype=np.float32), rows.shape)
    ids = [query.id for query in part.queries]
    ranking = Ranking.from_rows(ids, rows, places, found.dataset.corpus.ids)
    return evaluate(ranking, part.qrels, ["nDCG@10"])


def by_faiss(name: str, size: int, documents: np.ndarray, seed: int) -> np.ndarray:
    """What faiss's codes of `size` bytes stand for."""
    import faiss

    if name == "exact":
        return documents
    faiss.omp_set_num_threads(1)
    dimensions = documents.shape[1]
    if name == "rq":
        residual = faiss.ResidualQuantizer(dimensions, size, 8)
        residual.cp.seed = seed
        residual.train(documents)
        return residual.decode(residual.compute_codes(documents))
    product = faiss.ProductQuantizer(dimensions, size, 8)
    product.cp.seed, product.cp.min_points_per_centroid = seed, 1
    if name == "pq":
        product.train(documents)
        return product.decode(product.compute_codes(documents))
    rotation, inner = faiss.OPQMatrix(dimensions, size), faiss.ProductQuantizer(dimensions, size, 8)
    inner.cp.seed, inner.cp.min_points_per_centroid, inner.cp.niter = seed, 1, rotation.niter_pq
    rotation.pq = inner
    rotation.train(documents)
    turned = rotation.apply(documents)
    product.train(turned)
    return rotation.reverse_transform(product.decode(product.compute_codes(turned)))


def by_training(
    name: str, size: int, found: Task, seed: int, setting: str
) -> tuple[np.ndarray, Any, dict[str, Any]]:
    """What our codes stand for, the map of the queries, and how training went."""
    import torch

    from retrograd.models.towers import ResidualHead
    from retrograd.quantizers.trainable import TrainableQuantizer
    from retrograd.training.quantizer import QuantizerTraining, train_quantizer

    documents = torch.from_numpy(found.documents)
    kind = "residual" if name == "trained_residual" else "rotated_product"
    quantizer = TrainableQuantizer.start(documents, size, kind=kind, seed=seed)
    query_map = ResidualHead(documents.shape[1], 0, 0.0) if name in ("map", "trained_map") else None
    told: dict[str, Any] = {}
    if name != "start":
        quantizer.requires_grad_(name != "map")
        both = [*found.learn.queries, *found.tune.queries]
        trained = train_quantizer(
            quantizer,
            documents,
            torch.from_numpy(np.concatenate([found.learn.vectors, found.tune.vectors])),
            relevant_rows(found, both),
            query_map=query_map,
            tune=torch.arange(len(both)) >= len(found.learn.queries),
            settings=QuantizerTraining(**SETTINGS[setting]),
            seed=seed,
        )
        told = {"before": trained.before, "after": trained.after, "steps": trained.steps}

    @torch.no_grad()
    def turned(vectors: np.ndarray) -> np.ndarray:
        return vectors if query_map is None else query_map(torch.from_numpy(vectors)).numpy()

    with torch.no_grad():
        return quantizer.decode(quantizer.assign(documents)).numpy(), turned, told


def relevant_rows(found: Task, queries: list[Query]) -> Any:
    """(q, R) int64 rows of the relevant documents, -1 padded."""
    import torch

    row_of = {document: row for row, document in enumerate(found.dataset.corpus.ids)}
    qrels = found.learn.qrels | found.tune.qrels
    rows = [torch.tensor([row_of[d] for d, grade in qrels[q.id].items() if grade > 0]) for q in queries]
    return torch.nn.utils.rnn.pad_sequence([row.long() for row in rows], batch_first=True, padding_value=-1)


def table(folder: Path) -> str:
    """The Markdown part: quality, paired differences, settings that were chosen."""
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    settings: dict[str, str] = {}
    for cell in read_files(folder, "claim"):
        system = cell["cell"][1]
        settings[system] = cell["setting"]
        for claim, figures in cell["claims"].items():
            runs.setdefault((claim, system), []).append(figures | {"seconds": cell["seconds"]})
    claims = [claim for plan in COLLECTIONS.values() for claim in plan.claims]
    systems = [s for s in ("exact", *FAISS, *CONTROLS, *TRAINED) if any((c, s) in runs for c in claims)]
    rows = [[f"`{s}`", *(quality(runs.get((c, s), [])) for c in claims), settings[s] or "-"] for s in systems]
    parts = [f"nDCG@10. {QUALITY}", markdown(["codes@bytes", *claims, "setting"], rows)]
    parts += [DIFFERENCES, paired_table(PAIRS, claims, runs)]
    return "\n\n".join(parts) + "\n"


def write_table() -> None:
    """The third verb."""
    parser = argparse.ArgumentParser(description="Write the Markdown part from the finished cells.")
    parser.add_argument("--folder", type=Path, default=Path(FOLDER))
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(sys.argv[2:])
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(table(given.folder))


if __name__ == "__main__":
    if sys.argv[1:2] == ["table"]:
        write_table()
    else:
        command_line(__file__, __doc__, FOLDER, cells, run_cell)
