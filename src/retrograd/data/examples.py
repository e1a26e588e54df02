"""What a model learns from: texts and the document each should lead to.

A source is a config that cuts examples out of a context. It knows texts and document rows; it never
sees a docid or a model, so the same source serves identifiers and vectors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from retrograd.data.extractive import Extractive
from retrograd.data.interactions import history_text
from retrograd.data.query_generation import QueryGenerator
from retrograd.data.salience import DocumentFrequencies, heaviest
from retrograd.errors import InputError
from retrograd.types import Corpus, History, Qrels, Query, Searcher

Role = Literal["query", "document"]


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs and their targets, one per row."""

    texts: list[str]
    documents: np.ndarray
    """(examples,) int64 document rows."""

    negatives: np.ndarray | None = None
    """(examples, m) int64 document rows that are wrong answers, -1 padded."""

    role: Role = "query"
    """How an encoder should read the texts."""

    lists: np.ndarray | None = None
    """(examples, m) int64 document rows a teacher ranked highest, best first, -1 padded."""

    list_scores: np.ndarray | None = None
    """(examples, m) float32 the teacher's scores of `lists`; padding has none that matters."""

    def __post_init__(self) -> None:
        assert len(self.texts) == len(self.documents), "one document per text"
        assert self.negatives is None or len(self.negatives) == len(self.texts), (
            "one row of negatives per text"
        )
        assert (self.lists is None) == (self.list_scores is None), "lists come with their scores"
        assert self.lists is None or len(self.lists) == len(self.texts), "one list per text"

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[str, int]], *, role: Role = "query") -> Examples:
        """From (text, document row) pairs; a text without a word is left out.

        >>> len(Examples.from_pairs([("wing", 0), (" ", 1)]))
        1
        """
        kept = [(text, row) for text, row in pairs if text.strip()]
        return cls([text for text, _ in kept], np.asarray([row for _, row in kept], np.int64), role=role)


@dataclass(frozen=True)
class ExampleContext:
    """What a source may look at."""

    corpus: Corpus
    queries: Sequence[Query] = ()
    """Train queries."""

    qrels: Qrels = field(default_factory=dict)
    """Their judgements."""

    seed: int = 0
    searcher: Callable[[], Searcher] | None = None
    """The system as it stands, for sources that mine with it."""

    histories: Sequence[History] = ()
    """Users' past items, without targets of any evaluation."""

    def positives(self, query: Query) -> list[int]:
        """Rows of the documents judged relevant (grade above 0), ascending."""
        grades = self.qrels.get(query.id, {})
        return sorted(self.corpus.row_of[doc] for doc, grade in grades.items() if grade > 0)


class ExampleSource(Protocol):
    """A way to cut examples; a frozen config."""

    def __call__(self, context: ExampleContext) -> Examples:
        """The same context gives the same examples, in the same order. There may be none."""
        ...


@dataclass(frozen=True, kw_only=True)
class DocumentText:
    """document -> itself: its first words, then the words after them."""

    words: int = 64
    """Words per chunk."""

    chunks: int = 1
    """Most chunks per document."""

    def __post_init__(self) -> None:
        if self.words < 1 or self.chunks < 1:
            raise ValueError(f"words={self.words} and chunks={self.chunks} must be at least 1")

    def __call__(self, context: ExampleContext) -> Examples:
        """One example per chunk that has a word."""
        return Examples.from_pairs(
            (
                (" ".join(words[at : at + self.words]), row)
                for row, words in enumerate(contents.split() for contents in context.corpus.contents)
                for at in range(0, min(len(words), self.words * self.chunks), self.words)
            ),
            role="document",
        )


@dataclass(frozen=True, kw_only=True)
class TrainQueries:
    """query -> each document judged relevant to it."""

    def __call__(self, context: ExampleContext) -> Examples:
        """One example per positive judgement."""
        return Examples.from_pairs((q.text, row) for q in context.queries for row in context.positives(q))


@dataclass(frozen=True, kw_only=True)
class PseudoQueries:
    """generated query -> the document it was generated from."""

    generator: QueryGenerator = field(default_factory=Extractive)
    per_document: int = 16
    seed: int = 0
    """Own seed, so that docids and training see the same texts whatever the run's seed."""

    def __post_init__(self) -> None:
        if self.per_document < 1:
            raise ValueError(f"per_document={self.per_document} must be at least 1")

    def __call__(self, context: ExampleContext) -> Examples:
        """`per_document` examples for each document that has a word."""
        texts = self.generator.generate(context.corpus, self.per_document, self.seed)
        return Examples.from_pairs((text, row) for row, group in enumerate(texts) for text in group)


@dataclass(frozen=True, kw_only=True)
class Titles:
    """title -> document."""

    def __call__(self, context: ExampleContext) -> Examples:
        """One example per document that has a title."""
        return Examples.from_pairs((document.title, row) for row, document in enumerate(context.corpus))


@dataclass(frozen=True, kw_only=True)
class TermBag:
    """the heaviest tf-idf terms, in document order -> document (Zhou et al. 2022, arXiv:2208.09257)."""

    terms: int = 32

    def __post_init__(self) -> None:
        if self.terms < 1:
            raise ValueError(f"terms={self.terms} must be at least 1")

    def __call__(self, context: ExampleContext) -> Examples:
        """One example per document that has a term."""
        contents = context.corpus.contents
        frequencies = DocumentFrequencies.of(contents)
        bags = (" ".join(heaviest(frequencies.weights(text), self.terms)) for text in contents)
        return Examples.from_pairs(((bag, row) for row, bag in enumerate(bags)), role="document")


@dataclass(frozen=True, kw_only=True)
class MinedNegatives:
    """query -> relevant document, beside wrong answers of the system as it stands.

    Karpukhin et al. 2020, arXiv:2004.04906, section 3.2, with the system in the place of BM25.
    """

    depth: int = 50
    """Ranks looked at."""

    skip: int = 0
    """First ranks passed over: likely relevant and only unjudged."""

    per_query: int = 4
    """Negatives per example, drawn from the ranks left."""

    def __post_init__(self) -> None:
        if not 0 <= self.skip < self.depth or self.per_query < 1:
            raise ValueError(
                f"need 0 <= skip={self.skip} < depth={self.depth}, per_query={self.per_query} >= 1"
            )

    def __call__(self, context: ExampleContext) -> Examples:
        """One example per positive judgement; the examples of one query share its negatives.

        Raises:
            InputError: the context has no searcher.
        """
        if context.searcher is None:
            raise InputError("negatives are mined with a fitted system, and there is none at this stage")
        judged = [(query, rows) for query in context.queries if (rows := context.positives(query))]
        queries = [query for query, _ in judged if query.text.strip()]
        if not queries:
            return Examples([], np.zeros(0, np.int64), np.zeros((0, self.per_query), np.int64))
        ranked = context.searcher().search(queries, self.depth).documents()
        mined = [
            (query.text, row, self._drawn(context, query, ranked.get(query.id, ()), positives))
            for query, positives in judged
            if query.text.strip()
            for row in positives
        ]
        texts, documents, negatives = zip(*mined, strict=True)
        return Examples(list(texts), np.asarray(documents, np.int64), np.stack(negatives))

    def _drawn(
        self, context: ExampleContext, query: Query, ranked: Sequence[str], positives: Sequence[int]
    ) -> np.ndarray:
        wrong = [
            row for row in map(context.corpus.row_of.__getitem__, ranked[self.skip :]) if row not in positives
        ]
        digest = hashlib.sha256(query.id.encode("utf-8", "surrogatepass")).digest()
        order = np.random.default_rng([context.seed, int.from_bytes(digest[:8], "big")]).permutation(
            len(wrong)
        )
        chosen = np.asarray(wrong, np.int64)[order[: self.per_query]]
        return np.pad(chosen, (0, self.per_query - len(chosen)), constant_values=-1)


@dataclass(frozen=True, kw_only=True)
class NextItem:
    """titles of the items a user took -> the item taken next."""

    items: int = 10
    """Most past items that stand in the text, newest first."""

    targets: int = 8
    """The last so many items of a history are targets, each from the items before it; 0 takes all."""

    def __post_init__(self) -> None:
        if self.items < 1 or self.targets < 0:
            raise ValueError(f"items={self.items} must be at least 1 and targets={self.targets} at least 0")

    def __call__(self, context: ExampleContext) -> Examples:
        """One example per target that has a predecessor."""
        return Examples.from_pairs(
            (
                history_text(context.corpus, taken[max(0, at - self.items) : at]),
                context.corpus.row_of[taken[at]],
            )
            for taken in (history.items for history in context.histories)
            for at in range(max(1, len(taken) - self.targets if self.targets else 1), len(taken))
        )
