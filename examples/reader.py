"""A small reader that guesses a title from a body, with and without documents retrieved from a memory.

Nobody says which other document helps: which one is looked at is a latent variable, and the loss is the
marginal likelihood of the title. The same reader is trained three times: alone, with retrieval that stays as
it was, and with retrieval that learns. A title word comes from the reader's vocabulary, from the body, or
from the title of the retrieved document.

Bodies are asked for by bodies, so retrieval is good from the start: it helps, and training it on so few
texts adds nothing. With `--keys titles` documents are filed under their titles. On the shipped sample that
harms the reader while retrieval is frozen, and training takes the harm away; on scifact it changes nothing.

Uses scifact where RETROGRAD_DATA names a folder of collections, else the sample that ships with the library.
Shapes: B bodies, L their words, K documents retrieved, T words of a title, V vocabulary, d dimensions.

    PYTHONPATH=src python examples/reader.py --seeds 3
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from retrograd.data.dataset import load_dataset
from retrograd.data.sample import sample_path
from retrograd.differentiable import Hits, Memory, Posterior, Temperature, TopK, Uniform, Union
from retrograd.losses import marginal_nll
from retrograd.models.tfidf_svd import TfidfSvd
from retrograd.ops.words import analyzer
from retrograd.progress import track
from retrograd.types import Corpus

ALONE, FROZEN, TRAINED = "no retrieval", "frozen retrieval", "trained retrieval"
HEAD, GUESSED, DRAWN = 4, 2, 2
"""Documents of a body in training: nearest, guessed from the title, and drawn from the rest."""

SUPPORT = 16
"""Nearest documents of a body in testing, where nobody knows the title."""


@dataclass(frozen=True)
class Texts:
    """Bodies and titles as rows of word numbers, 0 padded, and vectors."""

    bodies: Tensor
    """(n, L) int64."""

    titles: Tensor
    """(n, T) int64."""

    vectors: Tensor
    """(n, d) float, of the bodies."""

    keys: Tensor
    """(train, d) float, what training documents are filed under."""

    guide: Tensor
    """(train, 4) int64: training documents whose titles share most with that of a training document."""

    train: int
    """Rows before this one are for training, and are what the memory holds."""

    words: tuple[str, ...]
    """By number; the first is padding."""


def corpus_of(name: str) -> Corpus:
    """A collection below RETROGRAD_DATA, or the shipped sample."""
    data = os.environ.get("RETROGRAD_DATA")
    folder = Path(data) / name if data else sample_path("apibench")
    return load_dataset(folder).corpus


def prepare(corpus: Corpus, *, keys: str, most: int, seed: int) -> Texts:
    """Cut off a fifth for testing; vocabulary, vectors and guide know the training part only."""
    order = np.random.default_rng(seed).permutation(len(corpus))[:most]
    documents = [corpus[int(row)] for row in order]
    train = len(documents) * 4 // 5
    analyse = analyzer("english").analyze
    bodies = [analyse(document.text)[:150] for document in documents]
    titles = [list(dict.fromkeys(analyse(document.title)))[:16] for document in documents]
    counts = Counter(word for text in bodies[:train] + titles[:train] for word in text)
    words = ("", *(word for word, count in counts.most_common(8000) if count > 1))
    number_of = {word: number for number, word in enumerate(words)}

    def rows(texts: list[list[str]]) -> Tensor:
        known = [torch.tensor([number_of[word] for word in text if word in number_of]) for text in texts]
        return nn.utils.rnn.pad_sequence([row.long() for row in known], batch_first=True)

    plain = [document.text for document in documents]
    encoder = TfidfSvd(dimensions=128)
    encode = encoder.build(encoder.fit(plain[:train])).encode_document
    filed = [document.title if keys == "titles" else document.text for document in documents[:train]]
    told = rows(titles)
    rarity = torch.tensor([0.0, *(1 / counts[word] for word in words[1:])]).sqrt()
    shared = torch.zeros(train, len(words)).scatter_(1, told[:train], 1.0) * rarity
    alike = (shared @ shared.T).fill_diagonal_(-1.0)
    return Texts(
        bodies=rows(bodies),
        titles=told,
        vectors=torch.from_numpy(encode(plain)),
        keys=torch.from_numpy(encode(filed)),
        guide=alike.topk(2 * GUESSED).indices,
        train=train,
        words=words,
    )


class Retriever(nn.Module):
    """A memory of the training documents, asked by vectors of bodies that a linear map may turn."""

    def __init__(self, texts: Texts, *, trained: bool) -> None:
        super().__init__()
        self.memory = Memory(texts.keys)
        self.turn = nn.Linear(texts.vectors.shape[1], texts.vectors.shape[1], bias=False)
        nn.init.zeros_(self.turn.weight)
        self.turn.requires_grad_(trained)
        self.temperature = Temperature(init=0.1, low=0.01, high=1.0)

    def forward(self, vectors: Tensor, *, guide: Tensor | None = None, own: Tensor | None = None) -> Hits:
        """Hits of (B, d) vectors; in training with guesses from the title, and never a body itself."""
        queries = vectors + self.turn(vectors)
        if guide is None or own is None:
            return self.memory.search(queries, TopK(SUPPORT))
        others = torch.ones(len(vectors), len(self.memory.keys), dtype=torch.bool).scatter_(
            1, own[:, None], False
        )
        support = Union(TopK(HEAD), Posterior(GUESSED, guide), Uniform(DRAWN))
        return self.memory.search(queries, support, where=others)


class Reader(nn.Module):
    """A bag of words that says, for each title word, how likely it is: made up, or copied."""

    def __init__(self, vocabulary: int, width: int = 64) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, width, padding_idx=0)
        self.salience = nn.Embedding(vocabulary, 1)
        self.state = nn.Sequential(nn.Linear(width, width), nn.Tanh())
        self.made_up = nn.Linear(width, vocabulary)
        self.source = nn.Linear(width, 2)
        self.trust = nn.Bilinear(width, width, 1)
        nn.init.zeros_(self.salience.weight)

    def bag(self, texts: Tensor) -> Tensor:
        """(..., L) -> (..., width): the mean of what the words stand for, the salient ones more."""
        return (self.shares(texts).unsqueeze(-1) * self.words(texts)).sum(-2)

    def shares(self, texts: Tensor) -> Tensor:
        """(..., L) chance of each word to be the one that is copied."""
        scores = self.salience(texts).squeeze(-1).masked_fill(texts == 0, -1e9)
        return scores.softmax(-1)

    def forward(self, bodies: Tensor, wanted: Tensor, titles: Tensor | None) -> Tensor:
        """Log-likelihood (B, K, T) of (B, T) words given (B, L) bodies and (B, K, M) titles; None: K is 1."""
        state = self.state(self.bag(bodies))
        made_up = self.made_up(state).log_softmax(-1).gather(1, wanted).exp()
        from_body = copied(self.shares(bodies), bodies, wanted)
        known = torch.stack([made_up, from_body], -1).unsqueeze(1)  # (B, 1, T, 2)
        sources = self.source(state).unsqueeze(1)  # (B, 1, 2)
        if titles is not None:
            copies = copied(self.shares(titles), titles, wanted.unsqueeze(1))  # (B, K, T)
            known = torch.cat([known.expand(*copies.shape, 2), copies.unsqueeze(-1)], -1)
            wide = state.unsqueeze(1).expand(*titles.shape[:2], -1).contiguous()
            trust = self.trust(wide, self.bag(titles))
            sources = torch.cat([sources.expand(*trust.shape[:2], 2), trust], -1)
        chances = (known * sources.softmax(-1).unsqueeze(2)).sum(-1)
        return chances.clamp(min=1e-9).log()


def copied(shares: Tensor, source: Tensor, wanted: Tensor) -> Tensor:
    """(..., T) chance that a draw from (..., L) words is each of the wanted ones."""
    return ((wanted.unsqueeze(-1) == source.unsqueeze(-2)) * shares.unsqueeze(-2)).sum(-1)


@dataclass(frozen=True)
class Model:
    """A reader with the retriever it reads from, if any."""

    reader: Reader
    retriever: Retriever | None

    def losses(self, texts: Texts, rows: Tensor, *, training: bool) -> tuple[Tensor, Tensor]:
        """() mean nats a title by the marginal likelihood, and () the words these titles have together."""
        wanted, bodies = texts.titles[rows], texts.bodies[rows]
        if training:
            bodies = bodies.masked_fill(torch.rand(bodies.shape) < 0.3, 0)
        real = wanted > 0
        if self.retriever is None:
            return -(self.reader(bodies, wanted, None).squeeze(1) * real).sum(-1).mean(), real.sum()
        told = {"guide": texts.guide[rows], "own": rows} if training else {}
        hits = self.retriever(texts.vectors[rows], **told)
        each = self.reader(bodies, wanted, texts.titles[hits.ids.clamp(min=0)])
        likelihood = (each * real.unsqueeze(1)).sum(-1)
        log_prior = hits.log_prob(self.retriever.temperature)
        return marginal_nll(log_prior, likelihood, where=hits.where), real.sum()


def train(texts: Texts, mode: str, *, seed: int, steps: int) -> Model:
    """One of `ALONE`, `FROZEN` and `TRAINED`."""
    torch.manual_seed(seed)
    retriever = None if mode == ALONE else Retriever(texts, trained=mode == TRAINED)
    model = Model(Reader(len(texts.words)), retriever)
    parts = [part for part in (model.reader, retriever) if part is not None]
    learnt = [weight for part in parts for weight in part.parameters() if weight.requires_grad]
    optimiser = torch.optim.Adam(learnt, lr=3e-3)
    for _ in track(range(steps), f"{mode}, seed {seed}"):
        loss, _ = model.losses(texts, torch.randperm(texts.train)[:64], training=True)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model


@torch.no_grad()
def nats_per_word(model: Model, texts: Texts) -> float:
    """Of the titles that were kept for testing; words that training never saw are left out."""
    rows = torch.arange(texts.train, len(texts.titles))
    loss, words = model.losses(texts, rows, training=False)
    return float(loss) * len(rows) / float(words)


def main(arguments: list[str] | None = None) -> dict[str, list[float]]:
    """Train all three with each seed, print a table, return nats per word by mode and seed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--collection", default="scifact", help="folder below RETROGRAD_DATA")
    parser.add_argument("--keys", choices=("titles", "bodies"), default="bodies", help="what is filed")
    parser.add_argument("--documents", type=int, default=2000, help="at most; a fifth is for testing")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each; they differ in start and order")
    parser.add_argument("--steps", type=int, default=300, help="of training, 64 bodies each")
    given = parser.parse_args(arguments)
    texts = prepare(corpus_of(given.collection), keys=given.keys, most=given.documents, seed=0)
    tested = len(texts.titles) - texts.train
    print(f"{texts.train} bodies to train on, {tested} to test on, {len(texts.words)} words")
    found: dict[str, list[float]] = {}
    for mode in (ALONE, FROZEN, TRAINED):
        for seed in range(given.seeds):
            nats = nats_per_word(train(texts, mode, seed=seed, steps=given.steps), texts)
            found.setdefault(mode, []).append(nats)
            print(f"{mode}, seed {seed}: {nats:.3f} nats per title word", flush=True)
    print("\n| reader | nats per title word, mean | lowest | highest |\n|---|---|---|---|")
    for mode, each in found.items():
        print(f"| {mode} | {np.mean(each):.3f} | {min(each):.3f} | {max(each):.3f} |")
    print(f"\n{given.seeds} seeds, one cut of one collection: overlapping ranges tell nothing apart.")
    return found


if __name__ == "__main__":
    main()
