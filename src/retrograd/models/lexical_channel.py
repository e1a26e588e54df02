"""Words beside the vector: towers whose vectors also hold a weighted mean of learnt word vectors.

A sentence vector blurs the very word that decides; here each word of the collection has a vector of
its own, started at the mean of the documents that hold it. Knows texts, words and towers; the
words are those of the lexical index (`ops.words`), how well they are known is learnt by the same
losses as the towers.
Shapes: n texts, B rows of a batch, L words of the longest of them, V words known, d dimensions.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrograd.artifacts import array_to_text, text_to_array
from retrograd.models.inputs import Role
from retrograd.models.ragged import Ragged
from retrograd.models.towers import Towers
from retrograd.ops.words import analyzer, check_language, utf8
from retrograd.types import State

SIDES = ("query", "both")


@dataclass(frozen=True, kw_only=True)
class LexicalChannel:
    """`normalise(z + a * sum_w c_w u_w / sum_w c_w)`: z the tower's vector, u_w a vector per word, c_w the
    word's idf times 1 + ln of its occurrences in the text."""

    language: str = "english"
    """Whose stemmer and stop words are used; one of `ops.words.LANGUAGES`."""

    min_documents: int = 2
    """Documents a word must occur in."""

    max_words: int = 20_000
    """Words kept, the most frequent first. Each costs d weights, and a share of every training step."""

    words_per_text: int = 32
    """The words of a text with most weight that count: what bounds the cost of long documents."""

    weight: float = 0.3
    """Where the learned `a` starts."""

    sides: str = "query"
    """`query`, or `both`: documents then have a channel of their own weight over the same word vectors."""

    centred: bool = True
    """Word vectors start at their mean less the mean of all documents, which tells no word apart."""

    def __post_init__(self) -> None:
        check_language(self.language)
        if min(self.min_documents, self.max_words, self.words_per_text) < 1:
            raise ValueError(
                f"min_documents={self.min_documents}, max_words={self.max_words} and "
                f"words_per_text={self.words_per_text} must be at least 1"
            )
        if self.sides not in SIDES:
            raise ValueError(f"sides={self.sides!r}; choose one of {', '.join(SIDES)}")

    def fit(self, texts: Sequence[str], vectors: np.ndarray) -> State:
        """Words, their idf (V,) float32, and where their vectors start (V, d) float16.

        Args:
            texts: contents of the documents.
            vectors: (documents, d) float32 vector of each.
        """
        counted = _count(texts, self.language)
        holders = Counter(word for counts in counted for word in counts)
        kept = sorted(
            (word for word in holders if holders[word] >= self.min_documents),
            key=lambda word: (-holders[word], word),
        )[: self.max_words]
        frequency = np.array([holders[word] for word in kept], np.float64)
        idf = np.log1p((len(texts) - frequency + 0.5) / (frequency + 0.5))
        number = {word: at for at, word in enumerate(kept)}
        means = _means([[number[w] for w in counts if w in number] for counts in counted], vectors, len(kept))
        if self.centred:
            means -= vectors.mean(0)
        return {
            "words": text_to_array("\n".join(kept)),
            "idf": idf.astype(np.float32),
            "vectors": means.astype(np.float16),
        }

    def build(self, state: State, towers: Towers) -> LexicalTowers:
        """The towers with the channel beside them."""
        return LexicalTowers(self, state, towers)


@dataclass(frozen=True, eq=False)
class PreparedWords:
    """Texts ready for `LexicalTowers`."""

    base: Any
    """What the towers below made of them."""

    words: Ragged
    """(t,) int64 numbers of the known words of each text."""

    weights: Ragged
    """(t,) float32, each text's sum to 1."""

    def __len__(self) -> int:
        return len(self.words)


class LexicalTowers(Towers):
    """Any towers with a channel of words beside them."""

    def __init__(self, config: LexicalChannel, state: State, towers: Towers) -> None:
        super().__init__()
        self.dimensions, self.towers = towers.dimensions, towers
        words = array_to_text(state["words"])
        self._number = {word: at for at, word in enumerate(words.split("\n") if words else ())}
        self._idf, self._config, self._both = state["idf"].tolist(), config, config.sides == "both"
        self.fingerprint = _fingerprint(towers.fingerprint, config, state)
        self.words = nn.Embedding(max(len(self._number), 1), self.dimensions)
        start = state["vectors"].astype(np.float32)
        with torch.no_grad():
            self.words.weight.zero_()[: len(start)] = torch.from_numpy(start)
        self.query_weight = nn.Parameter(torch.tensor(config.weight))
        self.document_weight = nn.Parameter(torch.tensor(config.weight)) if self._both else None

    def prepare(self, texts: Sequence[str], role: Role) -> PreparedWords:
        """What the towers below prepare, and the words of each text where its side has the channel."""
        base = self.towers.prepare(texts, role)
        read = role == "query" or self._both
        counted = _count(texts, self._config.language) if read else [Counter[str]() for _ in texts]
        known = [self._known(counts) for counts in counted]
        numbers = [np.fromiter(row, np.int64) for row in known]
        weights = [np.fromiter(row.values(), np.float32) for row in known]
        return PreparedWords(
            base, Ragged.of(numbers, np.zeros(0, np.int64)), Ragged.of(weights, np.zeros(0, np.float32))
        )

    def _known(self, counts: Counter[str]) -> dict[int, float]:
        """Known words of a text, by number, and their share of its weight."""
        numbers = {self._number[word]: count for word, count in counts.items() if word in self._number}
        weights = {at: (1 + log(count)) * self._idf[at] for at, count in numbers.items()}
        heaviest = sorted(weights, key=lambda at: (-weights[at], at))[: self._config.words_per_text]
        total = sum(weights[at] for at in heaviest)
        return {at: weights[at] / total for at in heaviest}

    def collate(self, prepared: PreparedWords, rows: np.ndarray) -> dict[str, Tensor]:
        """The inputs of the towers below, `words` (B, L) int64 and `word_weights` (B, L), 0 at padding."""
        words, weights = prepared.words.padded(rows)[0], prepared.weights.padded(rows)[0]
        return self.towers.collate(prepared.base, rows) | {"words": words, "word_weights": weights}

    def batches(self, prepared: PreparedWords) -> list[np.ndarray]:
        """As the towers below."""
        return self.towers.batches(prepared.base)

    def forward(self, batch: dict[str, Tensor], role: Role) -> Tensor:
        """(B, d) unit vectors."""
        return self._with_words(self.towers(batch, role), batch, role)

    def with_tokens(self, batch: dict[str, Tensor]) -> tuple[Tensor, Any]:
        """(B, d) unit vectors of queries, and the token states of the towers below."""
        vectors, tokens = self.towers.with_tokens(batch)
        return self._with_words(vectors, batch, "query"), tokens

    def _with_words(self, vectors: Tensor, batch: dict[str, Tensor], role: Role) -> Tensor:
        weight = self.query_weight if role == "query" else self.document_weight
        if weight is None:
            return vectors
        mean = F.embedding_bag(
            batch["words"], self.words.weight, per_sample_weights=batch["word_weights"], mode="sum"
        )
        return F.normalize(vectors + weight * mean, dim=-1)


def _count(texts: Sequence[str], language: str) -> list[Counter[str]]:
    words = analyzer(language)
    return [Counter(words.analyze(utf8(text))) for text in texts]


def _means(held: Sequence[Sequence[int]], vectors: np.ndarray, num_words: int) -> np.ndarray:
    """(V, d) float32 mean vector of the documents that hold each word."""
    words = np.array([word for row in held for word in row], np.int64)
    documents = np.repeat(np.arange(len(held)), [len(row) for row in held])
    offsets = np.searchsorted(np.sort(words), np.arange(num_words))
    means = F.embedding_bag(
        torch.from_numpy(documents[words.argsort(kind="stable")]),
        torch.from_numpy(np.ascontiguousarray(vectors, np.float32)),
        torch.from_numpy(offsets),
        mode="mean",
    )
    return means.numpy()


def _fingerprint(base: str, config: LexicalChannel, state: State) -> str:
    digest = hashlib.sha256(f"{base}\n{config.language}\n{config.words_per_text}\n".encode())
    for name in ("words", "idf"):
        digest.update(hashlib.sha256(np.ascontiguousarray(state[name]).tobytes()).digest())
    return digest.hexdigest()
