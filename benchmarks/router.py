"""A router that learnt against an adaptive inverted file, at equal recall: rows scanned and time.

    RETROGRAD_DATA=... OMP_NUM_THREADS=1 python benchmarks/router.py

Found are the ten rows with the largest inner products, of MiniLM vectors. `adaptive` opens the shards within
a gap of the best one; it is the router before it learns, and free. Routers learn from train queries and the
shards their ten rows lie in. How many shards, how a router learns and how wide the gap is for a recall are
chosen on queries cut from train; recall and cost are those of dev. What routing costs is counted, as rows.
Times are of single queries, the least of several runs each, in CPU time of the thread.
Shapes: B queries, C shards, n rows, d dimensions.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from operator_results import collection, difference_table, means, quality_table, save, vectors
from report import markdown
from torch import Tensor

from retrograd.data.splits import tune_cut
from retrograd.indexes.exhaustive import nearest_rows
from retrograd.indexes.router import Router
from retrograd.losses.listwise import listnet
from retrograd.losses.routing import expected_cost
from retrograd.quantizers.kmeans import assign_nearest, kmeans
from retrograd.types import Query

SEEDS = 5
RECALLS, GOALS = (0.95, 0.99), (0.07, 0.15)
SHARDS = (128, 384)
STEPS, BATCH, RATE, PRICE, SAMPLE = 400, 128, 3e-3, 0.3, 4096
COLLECTIONS = ("metaqa by entity", "amazon_beauty_search by query")
LEARNT, TUNED, JUDGED = 5000, 1000, 1000
"""Queries of each part at most."""

TIMED, RUNS = 100, 4
SCANNED, RECALL = "rows scanned", "recall"


class Task(NamedTuple):
    """Rows, and queries with the rows they should find."""

    keys: Tensor
    learnt: tuple[Tensor, Tensor]
    tuned: tuple[Tensor, Tensor]
    judged: tuple[Tensor, Tensor]


def task(name: str) -> Task:
    """Vectors and exact neighbours."""
    dataset = collection(name.partition(" ")[0])
    precision = "bf16" if dataset.name == "metaqa" else "fp32"
    keys = torch.from_numpy(vectors(dataset.corpus.contents, "document", precision=precision))
    rng, most = random.Random(0), (LEARNT, TUNED, JUDGED)
    if name.endswith("entity"):
        order = torch.tensor(rng.sample(range(len(keys)), len(keys)))
        *parts, kept = keys[order].split([*most, len(keys) - sum(most)])
        return Task(kept, *((asked, nearest_rows(kept, asked, 10)) for asked in parts))
    train, texts = dataset.split("train")[0], {query.text for query in dataset.split("train")[0]}
    queries = [*tune_cut(train), [query for query in dataset.split("dev")[0] if query.text not in texts]]

    def part(own: Sequence[Query], count: int) -> tuple[Tensor, Tensor]:
        chosen = rng.sample(list(own), min(count, len(own)))
        asked = torch.from_numpy(vectors([query.text for query in chosen], "query"))
        return asked, nearest_rows(keys, asked, 10)

    return Task(keys, *(part(own, count) for own, count in zip(queries, most, strict=True)))


def by_cost(router: Router, asked: Tensor, wanted: Tensor, sizes: Tensor) -> Tensor:
    """Share missed and, at a price, share read: `expected_cost`."""
    costs = expected_cost(router(asked), bytes_read=sizes, wanted=wanted)
    return (costs["wanted"] + PRICE * costs["bytes_read"]).mean()


def by_list(router: Router, asked: Tensor, wanted: Tensor, sizes: Tensor) -> Tensor:
    """Shards as a list, ordered by the share of what is wanted that lies in them."""
    del sizes
    return listnet(router.logits(asked), (wanted + 1e-9).log())


LOSSES: dict[str, Callable[[Router, Tensor, Tensor, Tensor], Tensor]] = {
    "learnt, expected cost": by_cost,
    "learnt, listwise": by_list,
}
SYSTEMS = ("fixed", "adaptive", *LOSSES)


def learn(router: Router, of: Task, loss: Callable[..., Tensor], seed: int) -> None:
    """Fit a router to the shards that are wanted."""
    generator = torch.Generator().manual_seed(seed)
    asked, wanted = of.learnt[0], router.shares(of.learnt[1])
    sizes = torch.bincount(router.shard_of, minlength=len(router.centroids)) / len(of.keys)
    router.spread.requires_grad_(False)
    optimiser = torch.optim.Adam([p for p in router.parameters() if p.requires_grad], RATE)
    for _ in range(STEPS):
        rows = torch.randint(len(asked), (BATCH,), generator=generator)
        optimiser.zero_grad()
        loss(router, asked[rows], wanted[rows], sizes).backward()
        optimiser.step()


@torch.no_grad()
def opened(router: Router, system: str, recall: float, of: Task, part: tuple[Tensor, Tensor]) -> Tensor:
    """(B, C) bool; a fixed number of shards is the least that has the recall on the tune part."""
    if system != "fixed":
        return router.probe(part[0], recall=recall)
    order = router.logits(of.tuned[0]).argsort(-1, descending=True)
    reached = router.shares(of.tuned[1]).gather(1, order).cumsum(1).mean(0)
    count = 1 + int((reached < recall - 1e-6).sum())
    return router.probe(part[0], shards=min(count, len(router.centroids)))


def costs(
    router: Router, system: str, recall: float, of: Task, part: tuple[Tensor, Tensor]
) -> dict[str, Any]:
    """Recall and share of rows scanned of each query, routing included."""
    shards = opened(router, system, recall, of, part)
    sizes = torch.bincount(router.shard_of, minlength=len(router.centroids)).float()
    scanned = ((shards * sizes).sum(-1) + len(sizes)) / len(of.keys)
    found = (router.shares(part[1]) * shards).sum(-1)
    names = [f"q{at}" for at in range(len(scanned))]
    per_query = {
        SCANNED: dict(zip(names, scanned.tolist(), strict=True)),
        RECALL: dict(zip(names, found.tolist(), strict=True)),
    }
    return {
        "mean": {m: float(np.mean(list(v.values()))) for m, v in per_query.items()},
        "per_query": per_query,
    }


@torch.no_grad()
def times(router: Router, recall: float, of: Task) -> tuple[float, float]:
    """Milliseconds of a query over all rows, and by the router: route, scan what is opened, keep ten."""
    centres = (router.nearness * router.centroids + router.residual[-1].weight).numpy()
    bias, gap = router.residual[-1].bias.numpy(), float(router.gap_of_recall[round(1000 * recall)])
    sizes = torch.bincount(router.shard_of, minlength=len(centres))
    filed = [rows.numpy() for rows in of.keys[router.shard_of.argsort(stable=True)].split(sizes.tolist())]
    everything, asked = of.keys.numpy(), of.judged[0][:TIMED].numpy()

    def flat(query: np.ndarray) -> np.ndarray:
        return np.argpartition(everything @ query, -10)[-10:]

    def routed(query: np.ndarray) -> np.ndarray:
        logits = centres @ query + bias
        scores = np.concatenate([filed[at] @ query for at in np.flatnonzero(logits >= logits.max() - gap)])
        return np.argpartition(scores, -min(10, len(scores)))[-10:]

    def least(search: Callable[[np.ndarray], np.ndarray]) -> float:
        taken = np.full((RUNS, len(asked)), np.inf)
        for run in range(RUNS):
            for at, query in enumerate(asked):
                begin = time.thread_time()
                search(query)
                taken[run, at] = time.thread_time() - begin
        return 1000 * float(taken.min(0).mean())

    return least(flat), least(routed)


def made(of: Task, shards: int, seed: int) -> dict[str, Router]:
    """The same shards for every system, from a sample of the rows."""
    sample = np.random.default_rng(seed).permutation(len(of.keys))[:SAMPLE]
    centroids = kmeans(of.keys.numpy()[sample], shards, seed=seed)[0]
    shard_of = torch.from_numpy(assign_nearest(of.keys.numpy(), centroids))
    routers = {system: Router(torch.from_numpy(centroids), shard_of) for system in ("adaptive", *LOSSES)}
    for system, router in routers.items():
        if system in LOSSES:
            learn(router, of, LOSSES[system], seed)
        router.calibrate(*of.tuned)
    return {"fixed": routers["adaptive"], **routers}


def measure(name: str) -> tuple[dict[tuple[str, str], list[Any]], dict[str, Any]]:
    """Cells of a collection, and what was chosen with its times."""
    of = task(name)
    cells: dict[tuple[str, str], list[Any]] = {}
    told: dict[str, Any] = {}
    first = {shards: made(of, shards, 0) for shards in SHARDS}
    kept = {(shards, 0): routers for shards, routers in first.items()}
    for recall in RECALLS:
        claim = f"{name}, recall {recall}"
        for system in SYSTEMS:
            tried = {
                shards: costs(routers[system], system, recall, of, of.tuned)["mean"][SCANNED]
                for shards, routers in first.items()
            }
            best = min(tried, key=lambda shards: tried[shards])
            for seed in range(SEEDS):
                if (best, seed) not in kept:
                    kept[best, seed] = made(of, best, seed)
                router = kept[best, seed][system]
                cells.setdefault((claim, system), []).append(costs(router, system, recall, of, of.judged))
            told[f"{claim}, {system}"] = {"shards": best, "tuned": {k: round(v, 4) for k, v in tried.items()}}
            if system != "fixed":
                flat, routed = times(first[best][system], recall, of)
                told[f"{claim}, {system}"] |= {"flat_ms": round(flat, 3), "routed_ms": round(routed, 3)}
            found = [result["mean"] for result in cells[claim, system]]
            print(claim, system, told[f"{claim}, {system}"], found[0], flush=True)
    return cells, told


METHOD = f"""The ten rows with the largest inner product, of MiniLM vectors: entities of `metaqa` by other
entities, which are none of the rows, and products by queries, for at most {JUDGED} queries
whose words no train query has. Shares of rows scanned include one comparison with each centroid, which is
what routing costs in every system: a learnt router has no spread and a linear residual, so it is an
inverted file with other centroids and a bias. `fixed` opens the same number of shards for every query,
`adaptive` all within a gap of the best. The number of shards ({" or ".join(map(str, SHARDS))}) and gaps
were chosen on queries cut from train. {SEEDS} seeds of shards and training; times are of the first, in
milliseconds of CPU a query."""


def main() -> None:
    """Measure both collections."""
    torch.set_num_threads(1)
    started = time.process_time()
    cells: dict[tuple[str, str], list[Any]] = {}
    told: dict[str, Any] = {}
    for name in COLLECTIONS:
        found, chosen = measure(name)
        cells |= found
        told |= chosen
    claims = [f"{name}, recall {recall}" for name in COLLECTIONS for recall in RECALLS]
    pairs = [("against adaptive", system, "adaptive") for system in ("fixed", *LOSSES)]
    rows = []
    for claim, goal in zip(claims, GOALS * len(COLLECTIONS), strict=True):
        lines = {system: told[f"{claim}, {system}"] for system in SYSTEMS}
        scanned = {system: np.mean([r["mean"][SCANNED] for r in cells[claim, system]]) for system in SYSTEMS}
        best = min(LOSSES, key=lambda system: scanned[system])
        taken = [f"{lines[system]['routed_ms']:.2f}" for system in ("adaptive", *LOSSES)]
        met = "met" if scanned[best] <= goal else f"missed ({scanned[best]:.1%})"
        shards = ", ".join(str(lines[system]["shards"]) for system in SYSTEMS)
        rows.append([claim, shards, f"{lines['adaptive']['flat_ms']:.2f}", *taken, f"{goal:.0%}: {met}"])
    timed = [f"{system}, ms" for system in ("adaptive", *LOSSES)]
    header = ["", f"shards ({', '.join(SYSTEMS)})", "all rows, ms", *timed, "goal"]
    tables = [METHOD, quality_table(cells, claims, SCANNED), quality_table(cells, claims, RECALL)]
    tables += [difference_table(pairs, claims, cells, SCANNED), markdown(header, rows)]
    seconds = round(time.process_time() - started)
    save("router", "Router", tables, {"chosen": told, "cpu_seconds": seconds, "means": means(cells)})


if __name__ == "__main__":
    main()
