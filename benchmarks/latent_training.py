"""Which documents must take part for a retriever to learn from answers alone: eight, or all of them?

    RETROGRAD_DATA=... OMP_NUM_THREADS=1 python benchmarks/latent_training.py

Titles ask, words of the own body are the answer, and nobody says which document they come from: the loss is
`-log sum_z p(z | title) p(answer | z)`, the reader a fixed unigram model. The retriever is a linear map of
TF-IDF, as on the collapse board. It is judged twice: by the objective over all documents and by the own body
being found first (fit), and by the collection's queries, of which nothing was learnt.
Shapes: B titles of a batch, n documents, f terms, K documents that take part.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from grid import path_of
from operator_results import difference_table, finished, means, quality_table, save, share
from report import markdown, spread
from titles_to_bodies import BATCH, DIMENSIONS, Bags, Loss, Task, bags, quality_of, scores_of, task, trained
from torch import Tensor

from retrograd.differentiable import Memory, Posterior, TopK, Uniform, Union
from retrograd.evaluation.diagnostics.collapse import collapse_report
from retrograd.indexes.drafts import Proposal
from retrograd.losses import infonce, marginal_nll
from retrograd.losses.contrastive import true_negatives
from retrograd.ops.masks import log_total
from retrograd.types import Document

FOLDER = Path("build/latent_training")
SEEDS, TEMPERATURE, LOOKS = 5, 0.05, 8
RATES = (0.01, 0.05)
EPOCHS = {"cranfield": 16, "cisi": 16, "scifact": 4}
READ = "reader"
"""In the place of a system: what is known before any training."""

NDCG, FIRST, NATS = "nDCG@10", "R@1", "nats"


class Reader(NamedTuple):
    """A unigram model with Jelinek-Mercer smoothing."""

    words: int
    """Of the answer: distinct words of the body that the title does not have."""

    smoothing: float
    """Share of the collection in the chance of a word."""


READERS = {"peaked": Reader(8, 0.1), "soft": Reader(3, 0.5)}


class Lesson(NamedTuple):
    """A collection with a reader."""

    of: Task
    bodies: Bags
    """Without the titles."""

    pairs: list[int]
    """Documents with a title and an answer."""

    likelihood: Tensor
    """(n, n) float32 log-likelihoods of each document's answer under each document."""

    guides: dict[str, Tensor]
    """(n, n) float32 lexical scores of the documents for each title or answer."""


def without_title(document: Document) -> str:
    """The body alone: in cranfield it begins with the title, which would give the answer away."""
    return document.text.strip().removeprefix(document.title.strip())


def drawn_words(counts: Any, titles: Sequence[Tensor], most: int) -> list[list[int]]:
    """Up to `most` distinct terms of each line of (n, f) counts, at random, none of its title's."""
    rng, found = random.Random(0), []
    for row, title in enumerate(titles):
        known = set(title.tolist())
        own = [int(term) for term in counts[row].indices if int(term) not in known]
        found.append(rng.sample(own, min(most, len(own))))
    return found


def log_likelihood(counts: Any, answers: Sequence[Sequence[int]], smoothing: float) -> np.ndarray:
    """(answers, n) float32 `sum_w log((1 - l) c(w, z) / |z| + l c(w) / |all|)` under (n, f) sparse counts."""
    from scipy.sparse import csr_matrix, diags

    total = np.asarray(counts.sum(0), np.float64).ravel()
    common = smoothing * np.maximum(total, 1) / total.sum()
    lengths = np.maximum(np.asarray(counts.sum(1), np.float64).ravel(), 1)
    lifted = ((1 - smoothing) * diags(1 / lengths) @ counts @ diags(1 / common)).tocsr()
    lifted.data = np.log1p(lifted.data)
    ends = np.cumsum([0, *map(len, answers)])
    terms = np.array([term for answer in answers for term in answer], np.int64)
    chosen = csr_matrix((np.ones(len(terms)), terms, ends), shape=(len(answers), counts.shape[1]))
    alone = np.asarray(chosen @ np.log(common)).reshape(-1, 1)
    found: np.ndarray = ((chosen @ lifted.T).toarray() + alone).astype(np.float32)
    return found


def lesson(of: Task, reader: Reader) -> Lesson:
    """What the reader says of every answer, and what words find; neither sees a title in a body."""
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(vocabulary=of.vectorizer.vocabulary_, stop_words="english")
    bodies = [without_title(document) for document in of.dataset.corpus]
    counts = counter.transform(bodies).tocsr()
    answers = drawn_words(counts, of.titles.terms, max(each.words for each in READERS.values()))
    answers = [answer[: reader.words] for answer in answers]
    names = of.vectorizer.get_feature_names_out()
    asked = {
        "answer": [" ".join(names[answer]) for answer in answers],
        "title": [document.title for document in of.dataset.corpus],
    }
    guides = {
        guide: torch.from_numpy(of.likeness(texts, bodies).astype(np.float32))
        for guide, texts in asked.items()
    }
    pairs = [at for at in of.pairs if answers[at]]
    likelihood = torch.from_numpy(log_likelihood(counts, answers, reader.smoothing))
    return Lesson(of, bags(of.vectorizer.transform(bodies)), pairs, likelihood, guides)


System = Callable[[Lesson], Loss]


def over(support: Callable[[Lesson, list[int]], Proposal]) -> System:
    """The marginal likelihood over the documents that a proposal chooses for some titles."""

    def system(of: Lesson) -> Loss:
        everything = range(len(of.likelihood))

        def loss(batch: list[int], table: Tensor, _: random.Random) -> Tensor:
            memory = Memory(of.bodies.of(everything, table), metric="cosine")
            hits = memory.search(of.of.titles.of(batch, table), support(of, batch))
            read = of.likelihood[batch].gather(1, hits.ids.clamp(min=0))
            return marginal_nll(hits.log_prob(TEMPERATURE), read, where=hits.where)

        return loss

    return system


def exact(of: Lesson) -> Loss:
    """The marginal likelihood over all documents, without gathering their keys."""

    def loss(batch: list[int], table: Tensor, _: random.Random) -> Tensor:
        return marginal_nll(log_prior(of, batch, table), of.likelihood[batch])

    return loss


def pseudo_labels(guide: str) -> System:
    """InfoNCE within the batch, the guide's first document taken for the right one."""

    def system(of: Lesson) -> Loss:
        def loss(batch: list[int], table: Tensor, _: random.Random) -> Tensor:
            firsts, own = of.guides[guide][batch].argmax(-1), torch.arange(len(batch))
            titles = F.normalize(of.of.titles.of(batch, table), dim=-1)
            bodies = F.normalize(of.bodies.of(firsts.tolist(), table), dim=-1)
            others = true_negatives(firsts, own)
            return infonce(titles @ bodies.T, own, temperature=TEMPERATURE, where=others)

        return loss

    return system


def guided(guide: str, head: int, guesses: int, rest: int) -> System:
    """A head if wanted, the guide's first documents, and a weighted tail."""

    def support(of: Lesson, batch: list[int]) -> Proposal:
        first = [TopK(head)] if head else []
        return Union(*first, Posterior(guesses, of.guides[guide][batch]), Uniform(rest))

    return over(support)


def log_prior(of: Lesson, rows: Sequence[int], table: Tensor) -> Tensor:
    """(rows, n) log-probabilities of all documents for some titles."""
    titles = F.normalize(of.of.titles.of(rows, table), dim=-1)
    bodies = F.normalize(of.bodies.of(range(len(of.likelihood)), table), dim=-1)
    return (titles @ bodies.T / TEMPERATURE).log_softmax(-1)


ANSWER, TITLE = "4 + 2 by answer + 2", "4 + 2 by title + 2"
LABELS, BY_TITLE = "labels by answer", "labels by title"
SYSTEMS: dict[str, System] = {
    "exact": exact,
    "top 8": over(lambda of, batch: TopK(8)),
    "top 32": over(lambda of, batch: TopK(32)),
    "top 128": over(lambda of, batch: TopK(128)),
    "4 + tail of 4": over(lambda of, batch: Union(TopK(4), Uniform(4))),
    "16 + tail of 16": over(lambda of, batch: Union(TopK(16), Uniform(16))),
    ANSWER: guided("answer", 4, 2, 2),
    TITLE: guided("title", 4, 2, 2),
    "2 by answer + 6": guided("answer", 0, 2, 6),
    LABELS: pseudo_labels("answer"),
    BY_TITLE: pseudo_labels("title"),
}
FEW = ("exact", "top 128", ANSWER, TITLE, LABELS, BY_TITLE)
RUNS: dict[tuple[str, str], Sequence[str]] = {
    ("cranfield", "peaked"): tuple(SYSTEMS),
    ("cisi", "peaked"): ("top 8", "4 + tail of 4", *FEW),
    ("scifact", "peaked"): FEW,
    ("cranfield", "soft"): FEW,
}
"""(collection, reader) -> systems."""

FREE = ("bm25", "tf-idf")
FIT_PAIRS = (
    ("eight, guided by the answer, and all", ANSWER, "exact"),
    ("eight, guided by the title, and all", TITLE, "exact"),
    ("eight, guided by the answer, and the 128 nearest", ANSWER, "top 128"),
    ("eight, guided by the title, and the 128 nearest", TITLE, "top 128"),
    ("a weighted tail and four more neighbours", "4 + tail of 4", "top 8"),
    ("the objective and labels, by the answer", ANSWER, LABELS),
    ("the objective and labels, by the title", TITLE, BY_TITLE),
)
NEAR = 0.03
"""Share of what all documents reach in R@1 that eight may lack, the goal."""

HELD_OUT_PAIRS = (
    *FIT_PAIRS,
    *(
        ("against what learns nothing", system, "tf-idf")
        for system in ("exact", ANSWER, TITLE, LABELS, BY_TITLE)
    ),
)


@torch.no_grad()
def fit(of: Lesson, table: Tensor) -> dict[str, Any]:
    """Of each title: nats more than if the own document were known, and whether it comes first."""
    rows = of.pairs
    prior, likelihood = log_prior(of, rows, table), of.likelihood[rows]
    own = torch.tensor(rows)
    nats = likelihood.gather(1, own[:, None]).squeeze(1) - log_total(prior + likelihood)
    first = (prior.argmax(-1) == own).float()
    names = [str(row) for row in rows]
    each = {NATS: nats, FIRST: first}
    return {
        "mean": {measure: float(values.mean()) for measure, values in each.items()},
        "per_query": {m: dict(zip(names, values.tolist(), strict=True)) for m, values in each.items()},
    }


class Run(NamedTuple):
    """A retriever, looked at while it learnt."""

    tuned: dict[int, float]
    """Epoch -> nDCG@10 of train queries."""

    judged: dict[int, dict[str, Any]]
    """Epoch -> quality for all other queries."""

    fit: dict[str, Any]
    """Of the last epoch, as `mean_cosine`."""

    mean_cosine: float


def run(of: Lesson, system: str, rate: float, seed: int) -> Run:
    """Train, with looks in equal distances."""
    tuned, judged = {}, {}
    epochs = EPOCHS[of.of.dataset.name]
    for epoch, table in enumerate(trained(of.of, of.pairs, SYSTEMS[system](of), rate, seed, epochs), 1):
        if epoch % max(1, epochs // LOOKS) == 0:
            scores, asked, bodies = scores_of(of.of, table, True)
            tuned[epoch] = quality_of(of.of, scores, of.of.tuned)["mean"][NDCG]
            judged[epoch] = quality_of(of.of, scores, of.of.held_out)
    return Run(tuned, judged, fit(of, table), collapse_report(asked, bodies).mean_cosine)


@cache
def task_of(collection: str) -> Task:
    """The same for both readers."""
    return task(collection)


@cache
def lesson_of(collection: str, reader: str) -> Lesson:
    """The same for all systems."""
    return lesson(task_of(collection), READERS[reader])


def run_cell(collection: str, system: str, seed: int, reader: str) -> dict[str, Any]:
    """One seed; the first one tries all rates, and those after it take its rate and epoch."""
    of, started = lesson_of(collection, reader), time.process_time()
    if system == READ:
        return about(of)
    if system in FREE:
        return {"judged": quality_of(of.of, of.of.lexical[system], of.of.held_out)}
    ends = {}
    if seed == 0:
        runs = {rate: run(of, system, rate, seed) for rate in RATES}
        tuned = {(rate, epoch): value for rate in RATES for epoch, value in runs[rate].tuned.items()}
        rate, epoch = max(tuned, key=lambda at: tuned[at])
        found, ends = runs[rate], {str(each): runs[each].fit["mean"] for each in RATES}
    else:
        first = json.loads(path_of(FOLDER, (collection, system, 0, reader)).read_text())
        rate, epoch = first["rate"], first["epoch"]
        found = run(of, system, rate, seed)
    return {
        "rate": rate,
        "epoch": epoch,
        "ends": ends,
        "judged": found.judged[epoch],
        "fit": found.fit,
        "mean_cosine": found.mean_cosine,
        "seconds": time.process_time() - started,
    }


def about(of: Lesson) -> dict[str, Any]:
    """How peaked the reader is where all documents are as likely, and how good the guides are."""
    rows = of.pairs
    own = torch.tensor(rows)[:, None]
    posterior = of.likelihood[rows].softmax(-1)
    found = {"own share": float(posterior.gather(1, own).mean())}
    for guide, scores in of.guides.items():
        found[f"guide by {guide}"] = float((scores[rows].argmax(-1, keepdim=True) == own).float().mean())
    return {"about": found}


_PEAKED, _SOFT = (f"{reader.words} words, {reader.smoothing} smoothing" for reader in READERS.values())
_LENGTHS = ", ".join(f"{count} epochs of {name}" for name, count in EPOCHS.items())
METHOD = f"""Titles ask a linear map of TF-IDF to {DIMENSIONS} dimensions (cosine, temperature {TEMPERATURE});
the answer is words of the own body that the title lacks, read by a fixed unigram model with Jelinek-Mercer
smoothing (`peaked`: {_PEAKED}; `soft`: {_SOFT}). Bodies learn without their titles; asked are texts as they
are. `4 + 2 by answer + 2`: the four nearest, two that a lexical guide (TF-IDF of the answer's or the title's
words) names, two drawn and weighted. `labels`: InfoNCE within the batch on the guide's first document. Adam
at {RATES[0]} or {RATES[1]}, batches of {BATCH}, {_LENGTHS}; rate and epoch are those that the first seed
found best for train queries. Fit is that of the last epoch at that rate, over all documents; nats are those
above knowing the own document. {SEEDS} seeds."""


def main() -> None:
    """All cells that are not there yet, then the tables."""
    torch.set_num_threads(1)
    cells = [
        (collection, system, seed, reader)
        for (collection, reader), systems in RUNS.items()
        for system in (READ, *FREE, *systems)
        for seed in range(SEEDS if system in systems else 1)
    ]
    fits: dict[tuple[str, str], list[Any]] = {}
    held_out: dict[tuple[str, str], list[Any]] = {}
    health: dict[tuple[str, str], list[float]] = {}
    readers: dict[str, dict[str, float]] = {}
    chosen: dict[str, Any] = {}
    seconds = 0.0
    for found in finished(FOLDER, cells, run_cell):
        collection, system, seed, reader = found["cell"]
        claim = f"{collection}, {reader}"
        if system == READ:
            readers[claim] = found["about"]
            continue
        held_out.setdefault((claim, system), []).append(found["judged"])
        if system in FREE:
            continue
        fits.setdefault((claim, system), []).append(found["fit"])
        health.setdefault((claim, system), []).append(found["mean_cosine"])
        seconds += found["seconds"]
        if seed == 0:
            chosen[f"{claim}, {system}"] = {key: found[key] for key in ("rate", "epoch", "ends")}
    claims = list(readers)
    columns = ("own share", "guide by answer", "guide by title")
    rows = [[claim, *(f"{readers[claim][column]:.2f}" for column in columns)] for claim in claims]
    cosines = [
        [f"`{system}`", *(spread(health.get((claim, system), ())) for claim in claims)] for system in SYSTEMS
    ]
    goals = [
        [
            f"R@1 of `{system}` against `exact`, goal at most {100 * NEAR:.0f} % less",
            *(share(fits[claim, system], fits[claim, "exact"], FIRST, -NEAR) for claim in claims),
        ]
        for system in (ANSWER, TITLE)
    ]
    tables = [
        METHOD,
        "Share of the own document in the posterior of an even prior; how often guides name it first.",
        markdown(["", *columns], rows),
        quality_table(fits, claims, FIRST),
        quality_table(fits, claims, NATS),
        markdown(["", *claims], goals),
        "Mean cosine of the bodies, last epoch.",
        markdown(["system", *claims], cosines),
        difference_table(FIT_PAIRS, claims, fits, FIRST),
        quality_table(held_out, claims, NDCG),
        difference_table(HELD_OUT_PAIRS, claims, held_out, NDCG),
    ]
    figures = {
        "cpu_seconds": round(seconds),
        "readers": readers,
        "chosen": chosen,
        "fit": means(fits),
        "held_out": means(held_out),
    }
    save("latent-training", "Latent training", tables, figures)


if __name__ == "__main__":
    main()
