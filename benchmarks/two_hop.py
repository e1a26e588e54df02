"""Two searches in a row against one, and against a query with the first answer appended.

    RETROGRAD_DATA=... OMP_NUM_THREADS=1 python benchmarks/two_hop.py

What learns, learns from train questions and answers of `metaqa` alone: which entry the first search should
find is never told. It is judged on `metaqa` dev and, as it is, on the questions of `hotpotqa_mini` and
`2wiki_mini`, whose evidence is two to four paragraphs. Every system gives one or two lists; how two are
merged (`lambda` and `constant` of reciprocal ranks) is chosen for each system alike: on questions cut from
train, and for the 201 by five folds. Vectors are frozen MiniLM's.
Shapes: B questions, n documents, d dimensions.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from operator_results import (
    best_rows,
    collection,
    difference_table,
    judged_rows,
    lexical_scores,
    means,
    of_queries,
    quality_table,
    save,
    vectors,
)
from torch import Tensor, nn

from retrograd.data.dataset import Dataset
from retrograd.data.splits import tune_cut
from retrograd.indexes.exhaustive import nearest_rows
from retrograd.indexes.memory import Memory
from retrograd.indexes.proposals import Given, TopK, Union
from retrograd.losses.marginal import relevance_nll
from retrograd.models.towers import ResidualHead
from retrograd.search.hop import Hop
from retrograd.types import Qrels, Query

SEEDS, FOLDS = 5, 5
LEARNT, TUNED, JUDGED = 2000, 150, 360
"""Questions of `metaqa`: learnt from, tuned on, and judged."""

POOL, BATCH, STEPS = 8000, 32, 150
"""Documents that training searches among, questions of a step, and steps."""

WIDTH, DEPTH = 6, 100
"""Entries of the first search that are followed, and answers of a list."""

TEMPERATURE = 0.05
MEASURES = ("nDCG@10", "R@10")
BOTH = "all evidence in 10"
MIXES = [(0.0, 1)] + [
    (weight, constant) for weight in (0.2, 0.35, 0.5, 0.65, 0.8, 1.0) for constant in (1, 10, 60)
]
"""(lambda, constant): `(1 - lambda) / (constant + rank in the first list) + lambda / (constant + rank in the
second)`."""

Lists = tuple[np.ndarray, np.ndarray]
"""Rows (B, 100) of a first and of a second list, -1 padded."""

Mixes = dict[tuple[float, int], dict[str, Any]]
"""Way to merge -> measures."""


@dataclass(frozen=True)
class Task:
    """Questions over a collection."""

    dataset: Dataset
    documents: Tensor
    queries: list[Query]
    qrels: Qrels
    asked: Tensor

    @property
    def names(self) -> list[str]:
        """Ids of the questions."""
        return [query.id for query in self.queries]


class Turn(nn.Module):
    """The next query: `normalise(query + weight * value + change(query, value))`; the change starts at 0."""

    def __init__(self, dimensions: int, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        self.inner, self.last = nn.Linear(2 * dimensions, dimensions), nn.Linear(dimensions, dimensions)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, values: Tensor, queries: Tensor) -> Tensor:
        """(M, d), (M, d) -> (M, d)."""
        change = self.last(F.gelu(self.inner(torch.cat([queries, values], -1))))
        return F.normalize(queries + self.weight * values + change, dim=-1)


Model = tuple[ResidualHead | None, Turn]
"""The map of questions, None for none, and the change of a query between searches."""


def two_hops(memory: Memory, turn: Turn, entries: int) -> Hop:
    """Two searches of some entries each, the second never for what the first found."""
    return Hop(memory, TopK(entries), turn, temperature=TEMPERATURE, repeats=False)


def taught(paths_end: Tensor, wanted: Sequence[Tensor]) -> Tensor:
    """(B, W) ids -> whether each is an answer of its question."""
    return torch.stack([torch.isin(ends, own) for ends, own in zip(paths_end, wanted, strict=True)])


def trained(task: Task, seed: int, *, weight: float, rate: float, guided: bool, hops: int) -> Model:
    """The map of questions and, with two hops, the change of the query between them."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    row_of, d = task.dataset.corpus.row_of, task.documents.shape[1]
    wanted = [torch.tensor([row_of[x] for x, g in task.qrels[name].items() if g > 0]) for name in task.names]
    rows = torch.cat(wanted).unique().tolist()
    rows = torch.tensor(sorted({*rows, *rng.sample(range(len(task.documents)), max(0, POOL - len(rows)))}))
    memory = Memory(task.documents[rows], ids=rows)
    head, turn = ResidualHead(d, 0, 0.0), Turn(d, weight)
    learnt = [*head.parameters(), *(turn.parameters() if hops == 2 else ())]
    optimiser = torch.optim.Adam(learnt, rate)
    hop, all_paths = two_hops(memory, turn, WIDTH), 1000
    for _ in range(STEPS):
        batch = rng.sample(range(len(wanted)), BATCH)
        asked, answers = head(task.asked[batch]), [wanted[at] for at in batch]
        one = torch.stack([own[rng.randrange(len(own))] for own in answers])
        if hops == 2:
            paths = hop.paths(asked, width=all_paths, ends=one.unsqueeze(-1) if guided else None)
            log_probability, ends, where = paths.log_probability, paths.ids[..., -1], paths.where
        else:
            hits = memory.search(asked, Union(Given(one), TopK(64)))
            log_probability, ends, where = hits.scores / TEMPERATURE, hits.ids, hits.where
        loss = relevance_nll(log_probability, taught(ends, answers), where=where)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return head.eval(), turn.eval()


@torch.no_grad()
def by_hops(task: Task, model: Model) -> Lists:
    """The nearest documents, and the ends of the most probable paths."""
    head, turn = model
    asked = task.asked if head is None else head(task.asked)
    hop, seconds = two_hops(Memory(task.documents), turn, WIDTH), []
    for part in asked.split(BATCH):
        paths = hop.paths(part, width=WIDTH * WIDTH)
        chance = torch.zeros(len(part), len(task.documents))
        shares = paths.log_probability.exp().masked_fill(~paths.where, 0.0)
        chance.scatter_add_(1, paths.ids[..., -1].clamp(min=0), shares)
        best = chance.topk(DEPTH, -1)
        seconds.append(best.indices.masked_fill(best.values <= 0, -1))
    return nearest(task, asked), torch.cat(seconds).numpy()


def nearest(task: Task, asked: Tensor) -> np.ndarray:
    """The first list of dense systems."""
    found: np.ndarray = nearest_rows(task.documents, asked, DEPTH).numpy()
    return found


def appended(task: Task, firsts: np.ndarray) -> list[str]:
    """Each question with its first answer behind it."""
    return [
        f"{query.text} {task.dataset.corpus[int(row)].contents}" if row >= 0 else query.text
        for query, row in zip(task.queries, firsts[:, 0], strict=True)
    ]


def merged(lists: Lists, mix: tuple[float, int]) -> np.ndarray:
    """(B, 10) rows of the sum of reciprocal ranks, -1 padded."""
    weight, constant = mix
    best = np.full((len(lists[0]), 10), -1)
    for at, pair in enumerate(zip(*(rows.tolist() for rows in lists), strict=True)):
        scores: dict[int, float] = {}
        for rows, share in zip(pair, (1 - weight, weight), strict=True):
            for rank, row in enumerate(rows if share else ()):
                scores[row] = scores.get(row, 0.0) + share / (constant + 1 + rank)
        scores.pop(-1, None)
        kept = sorted(scores, key=lambda row: (-scores[row], row))[:10]
        best[at, : len(kept)] = kept
    return best


def measured(task: Task, rows: np.ndarray) -> dict[str, Any]:
    """Measures, and whether all evidence is among the ten."""
    found = judged_rows(task.dataset, task.qrels, task.names, rows, MEASURES)
    whole = {query: float(value == 1) for query, value in found["per_query"]["R@10"].items()}
    return of_queries([{"per_query": {**found["per_query"], BOTH: whole}}])


def every_mix(task: Task, lists: Lists) -> Mixes:
    """Measures of each way to merge."""
    return {mix: measured(task, merged(lists, mix)) for mix in MIXES}


def lexical(task: Task, texts: Sequence[str]) -> np.ndarray:
    """A list by BM25."""
    scores = lexical_scores(task.dataset, texts, DEPTH)
    return best_rows(np.where(scores > 0, scores, -np.inf), DEPTH)


def lexical_lists(task: Task) -> Lists:
    """By the question, and with the first answer appended."""
    first = lexical(task, [query.text for query in task.queries])
    return first, lexical(task, appended(task, first))


def dense_lists(task: Task) -> Lists:
    """By the question, and encoded anew with the first answer appended."""
    first = nearest(task, task.asked)
    again = torch.from_numpy(vectors(appended(task, first), "query", precision="bf16"))
    return first, nearest(task, again)


def held_out(mixes: Mixes, seed: int) -> dict[str, Any]:
    """Every question merged as is best on the other folds."""
    names = sorted(mixes[MIXES[0]]["per_query"][MEASURES[0]])
    order, parts = random.Random(seed).sample(names, len(names)), []
    for fold in range(FOLDS):
        out = set(order[fold::FOLDS])

        def others(mix: tuple[float, int], out: set[str] = out) -> float:
            values = mixes[mix]["per_query"][MEASURES[0]]
            return float(np.mean([value for query, value in values.items() if query not in out]))

        best = mixes[max(mixes, key=others)]["per_query"]
        parts.append({"per_query": {m: {q: v for q, v in vs.items() if q in out} for m, vs in best.items()}})
    return of_queries(parts)


def task_of(name: str, queries: list[Query], qrels: Qrels, documents: Tensor | None = None) -> Task:
    """With vectors."""
    dataset = collection(name)
    if documents is None:
        documents = torch.from_numpy(vectors(dataset.corpus.contents, "document"))
    asked = torch.from_numpy(vectors([query.text for query in queries], "query"))
    return Task(dataset, documents, queries, {query.id: qrels[query.id] for query in queries}, asked)


def tasks() -> tuple[dict[str, Task], list[Task]]:
    """Learnt, tuned and judged parts of `metaqa`; and the two sets nothing is learnt from."""
    dataset = collection("metaqa")
    documents = torch.from_numpy(vectors(dataset.corpus.contents, "document", precision="bf16"))
    train, qrels = dataset.split("train")
    learnt, tuned = tune_cut(train)
    dev, dev_qrels = dataset.split("dev")
    rng = random.Random(0)
    parts = {
        "learnt": (learnt, qrels, LEARNT),
        "tuned": (tuned, qrels, TUNED),
        "dev": (dev, dev_qrels, JUDGED),
    }
    metaqa = {
        name: task_of("metaqa", rng.sample(part, count), judgements, documents)
        for name, (part, judgements, count) in parts.items()
    }
    return metaqa, [
        task_of(name, *collection(name).split("test")) for name in ("hotpotqa_mini", "2wiki_mini")
    ]


ONE, TWO, UNTRAINED = "learnt, one hop", "learnt, two hops", "dense, two hops unlearnt"
WEIGHTS = (0.5, 2.0)
OPTIONS = {
    ONE: [(rate, True) for rate in (1e-3, 3e-3)],
    TWO: [(rate, guided) for rate in (1e-3,) for guided in (False, True)],
}
"""Rate, and whether a known answer is among the ends of all paths while learning."""
CLAIM = "hotpotqa_mini + 2wiki_mini"


class Board:
    """Every system on every claim."""

    def __init__(self) -> None:
        self.metaqa, self.others = tasks()
        self.cells: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.chosen: dict[str, Any] = {}

    def add(self, system: str, lists: Callable[[Task], Lists], fold_seed: int | None = None) -> None:
        """A system, or a seed of it; one without seeds is dealt into folds several times."""
        tuned = every_mix(self.metaqa["tuned"], lists(self.metaqa["tuned"]))
        mix = max(tuned, key=lambda mix: tuned[mix]["mean"][MEASURES[0]])
        self.chosen.setdefault(system, []).append({"mix": mix, "tuned": tuned[mix]["mean"][MEASURES[0]]})
        dev = self.metaqa["dev"]
        found = measured(dev, merged(lists(dev), mix))
        for claim, prefix in (("all", ""), ("1 hop", "1h"), ("2 hops", "2h"), ("3 hops", "3h")):
            self.cells.setdefault((f"metaqa dev, {claim}", system), []).append(of_queries([found], prefix))
        by_task = [every_mix(task, lists(task)) for task in self.others]
        joined = {mix: of_queries([mixes[mix] for mixes in by_task]) for mix in MIXES}
        for seed in range(SEEDS) if fold_seed is None else (fold_seed,):
            self.cells.setdefault((CLAIM, system), []).append(held_out(joined, seed))
        print(system, self.chosen[system][-1], found["mean"], joined[mix]["mean"], flush=True)

    def best(self, options: Sequence[Any], lists: Callable[[Any], Callable[[Task], Lists]]) -> Any:
        """The option whose lists, merged at best, have the best nDCG on the tune part."""
        task = self.metaqa["tuned"]

        def value(option: Any) -> float:
            mixes = every_mix(task, lists(option)(task))
            return max(found["mean"][MEASURES[0]] for found in mixes.values())

        return max(options, key=value)


def only_first(lists: Callable[[Task], Lists]) -> Callable[[Task], Lists]:
    """One list, twice."""
    return lambda task: (lists(task)[0],) * 2


@torch.no_grad()
def one_hop(task: Task, model: Model) -> Lists:
    """The nearest documents of the mapped question, twice."""
    assert model[0] is not None
    return (nearest(task, model[0](task.asked)),) * 2


def run() -> Board:
    """All systems."""
    board = Board()
    learnt, d = board.metaqa["learnt"], board.metaqa["learnt"].documents.shape[1]
    board.add("bm25", only_first(lexical_lists))
    board.add("bm25, answer appended", lexical_lists)
    board.add("dense", lambda task: (nearest(task, task.asked),) * 2)
    board.add("dense, answer appended", dense_lists)
    weight = board.best(WEIGHTS, lambda weight: partial(by_hops, model=(None, Turn(d, weight))))
    board.add(UNTRAINED, partial(by_hops, model=(None, Turn(d, weight))))
    board.chosen["weight"] = weight
    for system, hops, lists in ((ONE, 1, one_hop), (TWO, 2, by_hops)):

        def seeded(seed: int, option: Any, hops: int = hops, lists: Any = lists) -> Callable[[Task], Lists]:
            rate, guided = option
            model = trained(learnt, seed, weight=weight, rate=rate, guided=guided, hops=hops)
            return partial(lists, model=model)

        option = board.best(OPTIONS[system], partial(seeded, 0))
        board.chosen[f"rate and guide of {system}"] = option
        for seed in range(SEEDS):
            board.add(system, seeded(seed, option), seed)
    return board


METHOD = f"""Learnt from {LEARNT} train questions of `metaqa` in {STEPS} steps of {BATCH}, searching among
{POOL} documents (answers and a sample); no entry of a first search is ever labelled. `metaqa` dev:
{JUDGED} questions over all documents, the start is not given. Learnt systems: {SEEDS} seeds; the others
have {SEEDS} deals of the folds on the 201 questions and one run on `metaqa`. Two lists are merged as was
best on {TUNED} tune questions, or on four of five folds; one hop has one list. Documents of `metaqa` were
encoded in bf16."""


def main() -> None:
    """Measure and write."""
    torch.set_num_threads(1)
    started = time.process_time()
    board = run()
    claims = [*(f"metaqa dev, {hops}" for hops in ("all", "1 hop", "2 hops", "3 hops")), CLAIM]
    pairs = [
        ("against one hop learnt alike", TWO, ONE),
        ("against the answer appended", TWO, "dense, answer appended"),
        ("the same by BM25", TWO, "bm25, answer appended"),
        ("against hops that did not learn", TWO, UNTRAINED),
        ("appending against one search", "bm25, answer appended", "bm25"),
    ]
    tables = [METHOD, quality_table(board.cells, claims, MEASURES[0])]
    tables.append(quality_table(board.cells, [CLAIM], BOTH))
    tables.append(difference_table(pairs, claims, board.cells, MEASURES[0]))
    seconds = round(time.process_time() - started)
    figures = {"chosen": board.chosen, "cpu_seconds": seconds, "means": means(board.cells)}
    save("two-hop", "Two hops", tables, figures)


if __name__ == "__main__":
    main()
