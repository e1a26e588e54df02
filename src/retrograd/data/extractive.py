"""Pseudo-queries cut out of the documents themselves: no model, no download, seconds.

Five kinds in fixed shares: titles and their variations, whole sentences, spans and bags of terms drawn
by tf-idf, and plain n-grams. It stands in for a learnt generator as in Nogueira et al. 2019, "Document
Expansion by Query Prediction". Draws depend on the seed and the document's id only.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice, pairwise

import numpy as np

from retrograd.data.salience import STOP_WORDS, WORD, DocumentFrequencies, heaviest, sentence_spans
from retrograd.progress import track
from retrograd.types import Corpus, Document

KINDS = ("title", "sentence", "span", "terms", "ngram")

_EDGES = " \t\n.,;:!?()[]{}\"'`*-–—/"
_SHARPNESS = 2.0  # a window is drawn in proportion to (its tf-idf sum) ** this
_USED = 0.5  # what is left of a word's weight once a span holds it
_ATTEMPTS = 4  # draws per wanted text before other kinds take over


@dataclass(frozen=True, kw_only=True)
class Extractive:
    """Cut short, query-like texts out of each document."""

    title: float = 0.2
    """Share of titles: the title itself, then parts of it and mixtures with salient terms."""

    sentence: float = 0.1
    """Share of whole sentences, the salient ones first."""

    span: float = 0.3
    """Share of salient spans inside one sentence, without function words at their ends."""

    terms: float = 0.3
    """Share of bags of salient terms, in document order."""

    ngram: float = 0.1
    """Share of n-grams from anywhere."""

    words: tuple[int, int] = (6, 16)
    """Fewest and most words of a span or n-gram."""

    bag: tuple[int, int] = (4, 10)
    """Fewest and most terms of a bag."""

    top_terms: int = 30
    """Bags are drawn from so many of the document's heaviest terms."""

    sentence_words: int = 24
    """Longer sentences are cut here."""

    def __post_init__(self) -> None:
        shares = self.shares
        if min(shares) < 0 or not sum(shares) > 0:
            raise ValueError(f"shares {shares} of {', '.join(KINDS)} must not be negative nor all zero")
        for name, (low, high) in (("words", self.words), ("bag", self.bag)):
            if not 1 <= low <= high:
                raise ValueError(f"{name}={(low, high)} must be a range of at least 1")
        if self.top_terms < 1 or self.sentence_words < 1:
            raise ValueError("top_terms and sentence_words must be at least 1")

    @property
    def shares(self) -> tuple[float, ...]:
        """In the order of `KINDS`."""
        return (self.title, self.sentence, self.span, self.terms, self.ngram)

    def generate(
        self, corpus: Corpus, per_document: int, seed: int, background: Corpus | None = None
    ) -> list[list[str]]:
        """`per_document` texts for each document, none empty, distinct while the document lasts.

        A document without a single word gets none; one too short for that many distinct texts repeats
        them in turn.

        Args:
            background: the documents that say which terms are common; the corpus itself by default. With
                the same background, a document's texts do not depend on which other documents there are.
        """
        frequencies = DocumentFrequencies.of((background or corpus).contents)
        quotas = _quotas(self.shares, per_document)
        return [
            self._texts(_Parts.of(document, frequencies, self.top_terms), quotas, _draws(seed, document.id))
            for document in track(corpus, "pseudo-queries")
        ]

    def _texts(self, parts: _Parts, quotas: list[int], draws: np.random.Generator) -> list[str]:
        makers: tuple[Callable[[_Parts, np.random.Generator], Iterator[str]], ...] = (
            self._titles,
            self._sentences,
            self._spans,
            self._bags,
            self._ngrams,
        )
        found: dict[str, str] = {}
        streams = [maker(parts, draws) for maker in makers]
        for stream, quota in zip(streams, quotas, strict=True):
            _take(stream, quota, found, attempts=quota * _ATTEMPTS)
        wanted = sum(quotas)
        for stream, share in zip(streams, self.shares, strict=True):
            if share:  # what one kind could not give, the others make up
                _take(stream, wanted - len(found), found, attempts=(wanted - len(found)) * _ATTEMPTS)
        if not found:
            _take(iter([parts.title, parts.body]), 1, found, attempts=2)
        return list(islice(cycle(found.values()), wanted)) if found else []

    def _titles(self, parts: _Parts, draws: np.random.Generator) -> Iterator[str]:
        if not parts.title:
            return
        yield parts.title
        words = [match[0] for match in WORD.finditer(parts.title)]
        while len(words) > 1:
            kept = draws.random(len(words)) < 0.7
            part = [word for word, keep in zip(words, kept, strict=True) if keep]
            if len(part) < 2:  # one word of a title names too many documents
                continue
            yield " ".join(part)
            lowered = {word.lower() for word in part}
            yield " ".join([*part, *(term for term in parts.bag(2, draws) if term not in lowered)])

    def _sentences(self, parts: _Parts, draws: np.random.Generator) -> Iterator[str]:
        sums = [parts.cumulated[end] - parts.cumulated[start] for start, end in parts.sentences]
        weights = np.asarray(sums) / np.sqrt([end - start for start, end in parts.sentences] or 1)
        for place in _weighted_order(weights, draws).tolist():
            start, end = parts.sentences[place]
            yield parts.phrase(start, min(end, start + self.sentence_words))

    def _spans(self, parts: _Parts, draws: np.random.Generator) -> Iterator[str]:
        first = np.arange(len(parts.sentence_end))
        weights = np.diff(parts.cumulated)
        while len(first):
            length = draws.integers(self.words[0], self.words[1], endpoint=True)
            last = np.minimum(first + length, parts.sentence_end)
            cumulated = np.concatenate([[0.0], np.cumsum(weights)])
            mass = np.cumsum((cumulated[last] - cumulated[first]) ** _SHARPNESS)
            at = min(bisect_right(mass, draws.random() * mass[-1]), len(first) - 1)
            weights[at : last[at]] *= _USED  # the next span should come from elsewhere
            yield parts.phrase(*parts.trimmed(at, int(last[at])))

    def _bags(self, parts: _Parts, draws: np.random.Generator) -> Iterator[str]:
        while parts.terms:
            size = draws.integers(self.bag[0], self.bag[1], endpoint=True)
            yield " ".join(parts.bag(int(size), draws))

    def _ngrams(self, parts: _Parts, draws: np.random.Generator) -> Iterator[str]:
        total = len(parts.sentence_end)
        while total:
            length = min(int(draws.integers(self.words[0], self.words[1], endpoint=True)), total)
            start = int(draws.integers(0, total - length, endpoint=True))
            yield parts.cut(start, start + length)


@dataclass(frozen=True)
class _Parts:
    """One document taken apart; positions count words of the body."""

    title: str
    body: str
    offsets: list[tuple[int, int]]
    """Characters of each word."""

    stops: list[bool]
    cumulated: np.ndarray
    """(words + 1,) float64 running sum of the words' tf-idf."""

    sentences: list[tuple[int, int]]
    sentence_end: np.ndarray
    """(words,) int64: where the sentence of each word ends."""

    terms: list[str]
    term_weights: np.ndarray

    @classmethod
    def of(cls, document: Document, frequencies: DocumentFrequencies, limit: int) -> _Parts:
        body = document.text if WORD.search(document.text) else document.title
        matches = list(WORD.finditer(body))
        offsets = [match.span() for match in matches]
        words = [match[0].lower() for match in matches]
        weights = frequencies.weights(document.contents)
        ends = [end for _, end in offsets]
        edges = [0, *(bisect_right(ends, end) for _, end in sentence_spans(body))]
        sentences = [pair for pair in pairwise(edges) if pair[0] < pair[1]]
        lengths = [end - start for start, end in sentences]
        salient = heaviest(weights, limit)
        return cls(
            title=document.title.strip(_EDGES),
            body=body,
            offsets=offsets,
            stops=[word in STOP_WORDS for word in words],
            # not 0: a text of function words alone must still be drawn from
            cumulated=np.cumsum([0.0, *(weights.get(word, 0.0) + 1e-6 for word in words)]),
            sentences=sentences,
            sentence_end=np.repeat([end for _, end in sentences], lengths).astype(np.int64),
            terms=list(salient),
            term_weights=np.asarray(list(salient.values())),
        )

    def cut(self, start: int, end: int) -> str:
        """The text of a run of words, as written, on one line."""
        return " ".join(self.body[self.offsets[start][0] : self.offsets[end - 1][1]].split())

    def phrase(self, start: int, end: int) -> str:
        """The same, but nothing where it would be one word: that asks for too many documents."""
        return self.cut(start, end) if end - start > 1 else ""

    def trimmed(self, start: int, end: int) -> tuple[int, int]:
        """The run without function words at its ends, if any word is left."""
        content = [place for place in range(start, end) if not self.stops[place]]
        return (content[0], content[-1] + 1) if content else (start, end)

    def bag(self, size: int, draws: np.random.Generator) -> list[str]:
        """So many different terms, drawn by weight, in document order."""
        chosen = np.sort(_weighted_order(self.term_weights, draws)[:size])
        return [self.terms[place] for place in chosen.tolist()]


def _weighted_order(weights: np.ndarray, draws: np.random.Generator) -> np.ndarray:
    """A random order in which heavy entries tend to come first (Efraimidis and Spirakis 2006, A-ES)."""
    return np.argsort(np.log(draws.random(len(weights))) / np.maximum(weights, 1e-9))[::-1]


def _take(stream: Iterator[str], wanted: int, found: dict[str, str], *, attempts: int) -> None:
    enough = len(found) + wanted
    for text in islice(stream, attempts):
        if len(found) >= enough:
            return
        cleaned = text.strip(_EDGES)
        if cleaned:
            found.setdefault(cleaned.lower(), cleaned)


def _quotas(shares: tuple[float, ...], total: int) -> list[int]:
    """Whole numbers in these shares that sum to `total` (largest remainders)."""
    if total < 1:
        raise ValueError(f"per_document={total} must be at least 1")
    exact = [share / sum(shares) * total for share in shares]
    quotas = [int(number) for number in exact]
    by_remainder = sorted(range(len(exact)), key=lambda at: quotas[at] - exact[at])
    for at in by_remainder[: total - sum(quotas)]:
        quotas[at] += 1
    return quotas


def _draws(seed: int, document: str) -> np.random.Generator:
    digest = hashlib.sha256(document.encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])
