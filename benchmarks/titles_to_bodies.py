"""A linear map of TF-IDF that learns to lead from a document's title to its body.

No query and no judgement is learnt from; what is learnt is then asked with the collection's queries. Knows
bags of terms, the loop and the ranking; which loss is worth trying is the business of each script.
Shapes: n documents, f terms, d dimensions, q queries.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from grid import judged
from operator_results import best_rows, collection, judged_rows, lexical_scores
from torch import Tensor, nn

from retrograd.data.dataset import Dataset
from retrograd.types import Qrels

DIMENSIONS, BATCH = 64, 128


class Bags(NamedTuple):
    """Texts as weighted terms."""

    terms: list[Tensor]
    weights: list[Tensor]

    def of(self, rows: Sequence[int], table: Tensor) -> Tensor:
        """(rows, d) sums of the terms' vectors."""
        own = [self.terms[row] for row in rows]
        starts = torch.tensor([0, *(len(terms) for terms in own)]).cumsum(0)[:-1]
        weights = torch.cat([self.weights[row] for row in rows])
        return F.embedding_bag(torch.cat(own), table, starts, mode="sum", per_sample_weights=weights)


class Task(NamedTuple):
    """A collection as bags."""

    dataset: Dataset
    vectorizer: Any
    """Texts -> (texts, f) TF-IDF, sparse."""

    titles: Bags
    bodies: Bags
    queries: Bags
    names: list[str]
    qrels: Qrels
    tuned: list[int]
    """Queries that rates are chosen on."""

    held_out: list[int]
    """All others, which are judged."""

    lexical: dict[str, np.ndarray]
    """Scores of what learns nothing."""

    def likeness(self, some: Sequence[str], others: Sequence[str]) -> np.ndarray:
        """(some, others) products of texts."""
        left, right = (self.vectorizer.transform(texts) for texts in (some, others))
        found: np.ndarray = (left @ right.T).toarray()
        return found

    @property
    def pairs(self) -> list[int]:
        """Documents with a title and a body."""
        sides = zip(self.titles.terms, self.bodies.terms, strict=True)
        return [at for at, (title, body) in enumerate(sides) if len(title) and len(body)]


def bags(matrix: Any) -> Bags:
    """The lines of a sparse matrix."""
    rows = [matrix[row] for row in range(matrix.shape[0])]
    terms = [torch.from_numpy(row.indices.astype(np.int64)) for row in rows]
    return Bags(terms, [torch.from_numpy(row.data.astype(np.float32)) for row in rows])


def task(name: str) -> Task:
    """Bags of TF-IDF; a document without a title is led to by nothing."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    dataset = collection(name)
    splits = [split for split in ("train_clean", "dev", "test") if split in dataset.qrels]
    queries, qrels = judged(dataset, splits)
    vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words="english", min_df=2)
    bodies = vectorizer.fit_transform([document.text for document in dataset.corpus])
    titles = vectorizer.transform([document.title for document in dataset.corpus])
    asked = vectorizer.transform([query.text for query in queries])
    train = dataset.qrels["train_clean"]
    return Task(
        dataset,
        vectorizer,
        bags(titles),
        bags(bodies),
        bags(asked),
        [query.id for query in queries],
        qrels,
        [at for at, query in enumerate(queries) if query.id in train],
        [at for at, query in enumerate(queries) if query.id not in train],
        {
            "bm25": lexical_scores(dataset, [query.text for query in queries]),
            "tf-idf": (asked @ bodies.T).toarray(),
        },
    )


Loss = Callable[[list[int], Tensor, random.Random], Tensor]
"""Documents of a batch, (f, d) vectors of terms and a source of chance -> ()."""


def drawn(of: Task, seed: int) -> nn.Parameter:
    """(f, d) vectors of terms before training."""
    torch.manual_seed(seed)
    terms = 1 + max(int(t.max()) for t in of.bodies.terms if len(t))
    return nn.Parameter(torch.randn(terms, DIMENSIONS) / DIMENSIONS**0.5)


def trained(
    of: Task, pairs: Sequence[int], loss: Loss, rate: float, seed: int, epochs: int
) -> Iterator[Tensor]:
    """(f, d) vectors of terms after each epoch over some documents, in the same storage."""
    table, rng, rows = drawn(of, seed), random.Random(seed), list(pairs)
    optimiser = torch.optim.Adam([table], rate)
    for _ in range(epochs):
        rng.shuffle(rows)
        for at in range(0, len(rows) - BATCH + 1, BATCH):
            optimiser.zero_grad()
            loss(rows[at : at + BATCH], table, rng).backward()
            optimiser.step()
        yield table.detach()


def scores_of(of: Task, table: Tensor, cosine: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(q, n) scores, and the vectors of queries and bodies that have a term."""
    asked = of.queries.of(range(len(of.names)), table)
    bodies = of.bodies.of(range(len(of.bodies.terms)), table)
    if cosine:
        asked, bodies = F.normalize(asked, dim=-1), F.normalize(bodies, dim=-1)
    return (asked @ bodies.T).numpy(), asked.numpy(), bodies[bodies.square().sum(-1) > 0].numpy()


def quality_of(of: Task, scores: np.ndarray, part: Sequence[int]) -> dict[str, Any]:
    """nDCG@10 on some of the queries."""
    names = [of.names[at] for at in part]
    return judged_rows(of.dataset, of.qrels, names, best_rows(scores[list(part)]), ["nDCG@10"])
