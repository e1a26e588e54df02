"""The nouns: documents, queries, histories, rankings, and the one protocol every system keeps.

Nothing here knows a model, a file or a tensor library; every other part speaks in these values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, overload, runtime_checkable

import numpy as np

from retrograd.errors import InputError

Qrels = Mapping[str, Mapping[str, int]]
"""Judgements: query id -> document id -> grade (0 = judged not relevant)."""

State = dict[str, np.ndarray]
"""What a part learnt that is not a network weight (vocabulary, centroids): named plain arrays.
Text travels as uint8 (see `artifacts.text_to_array`)."""


@dataclass(frozen=True, slots=True)
class Document:
    """One retrievable thing: a passage, a product, an API, a film."""

    id: str
    text: str = ""
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def contents(self) -> str:
        """Title and text as one string: what encoders and lexical indexes read.

        >>> Document("d1", "Body.", "Title").contents
        'Title Body.'
        """
        return f"{self.title} {self.text}".strip()


@dataclass(frozen=True, slots=True)
class Query:
    """One question. `text` may be empty: lexical search then returns nothing."""

    id: str
    text: str
    history: tuple[str, ...] = ()
    """Ids of the documents its asker took before, oldest first. Only searchers that say so look at it."""


@dataclass(frozen=True, slots=True)
class History:
    """A user's past items, oldest first; the query of a recommender."""

    id: str
    items: tuple[str, ...]


class Corpus(Sequence[Document]):
    """Documents in a fixed order with unique ids; row `i` means the same document everywhere.

    Raises:
        InputError: no document, an empty id, or an id that occurs twice.

    >>> corpus = Corpus([Document("a", "x"), Document("b", "y")])
    >>> corpus.row_of["b"], corpus[0].text, len(corpus)
    (1, 'x', 2)
    """

    def __init__(self, documents: Iterable[Document]) -> None:
        self._documents = tuple(documents)
        self.row_of: dict[str, int] = {document.id: row for row, document in enumerate(self._documents)}
        if not self._documents:
            raise InputError("the corpus holds no document; give at least one")
        if "" in self.row_of:
            raise InputError(f"document {self.row_of[''] + 1} has an empty id")
        if len(self.row_of) != len(self._documents):
            seen: set[str] = set()
            twice = next(d.id for d in self._documents if d.id in seen or seen.add(d.id))  # type: ignore[func-returns-value]
            raise InputError(f"document id {twice!r} occurs twice; ids must be unique")

    @overload
    def __getitem__(self, index: int) -> Document: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Document, ...]: ...
    def __getitem__(self, index: int | slice) -> Document | tuple[Document, ...]:
        return self._documents[index]

    def __len__(self) -> int:
        return len(self._documents)

    def __iter__(self) -> Iterator[Document]:
        return iter(self._documents)

    @property
    def ids(self) -> tuple[str, ...]:
        """Document ids in row order."""
        return tuple(self.row_of)

    @property
    def contents(self) -> list[str]:
        """`Document.contents` in row order."""
        return [document.contents for document in self._documents]


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer. Generative systems also say how they got there."""

    document: str
    """Document id."""

    score: float
    """Higher is better; only comparable within one system."""

    path: tuple[int, ...] = ()
    """Tokens of the docid that was generated; empty where no docid was."""

    step_scores: tuple[float, ...] = ()
    """Log-probability of each token of `path`."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Answers to a batch of queries, best first, no document twice for one query."""

    query_ids: tuple[str, ...]
    hits: tuple[tuple[Hit, ...], ...]

    def __post_init__(self) -> None:
        assert len(self.query_ids) == len(self.hits), "one list of hits per query"

    def __len__(self) -> int:
        return len(self.query_ids)

    def __iter__(self) -> Iterator[tuple[str, tuple[Hit, ...]]]:
        return zip(self.query_ids, self.hits, strict=True)

    def documents(self) -> dict[str, list[str]]:
        """Query id -> document ids, best first."""
        return {query: [hit.document for hit in hits] for query, hits in self}

    def rows(self, row_of: Mapping[str, int], k: int) -> tuple[np.ndarray, np.ndarray]:
        """Scores (queries, k) float64 and rows (queries, k) int64 of the first k hits, row -1 padded.

        >>> Ranking(("q",), ((Hit("b", 2.0),),)).rows({"a": 0, "b": 1}, 2)[1].tolist()
        [[1, -1]]
        """
        scores = np.full((len(self), k), -np.inf)
        rows = np.full((len(self), k), -1, np.int64)
        for at, hits in enumerate(self.hits):
            for place, hit in enumerate(hits[:k]):
                rows[at, place], scores[at, place] = row_of[hit.document], hit.score
        return scores, rows

    @classmethod
    def from_rows(
        cls,
        query_ids: Iterable[str],
        rows: np.ndarray,
        scores: np.ndarray,
        document_ids: Sequence[str],
    ) -> Ranking:
        """From matrices. `rows`, `scores`: (queries, k); row -1 marks "no answer" and is dropped.

        >>> Ranking.from_rows(["q"], np.array([[1, -1]]), np.array([[2.0, 0.0]]), ["a", "b"]).documents()
        {'q': ['b']}
        """
        hits = tuple(
            tuple(
                Hit(document_ids[row], score)
                for row, score in zip(row_list, score_list, strict=True)
                if row >= 0
            )
            for row_list, score_list in zip(rows.tolist(), scores.tolist(), strict=True)
        )
        return cls(tuple(query_ids), hits)


@runtime_checkable
class Searcher(Protocol):
    """All that evaluation, the command line and the server need of a system."""

    def search(self, queries: Sequence[Query], k: int) -> Ranking:
        """The `k` best documents of each query (fewer where fewer exist). `k` >= 1."""
        ...


@runtime_checkable
class RowSearcher(Protocol):
    """A searcher that also answers in matrices, for whoever asks many thousand queries."""

    def search_rows(self, queries: Sequence[Query], k: int) -> tuple[np.ndarray, np.ndarray]:
        """Scores (queries, k) float and document rows (queries, k) int64, best first, row -1 padded."""
        ...


def best_rows(
    searcher: Searcher, queries: Sequence[Query], k: int, row_of: Mapping[str, int]
) -> tuple[np.ndarray, np.ndarray]:
    """What `RowSearcher.search_rows` gives, of any searcher; `row_of` is its corpus's."""
    if isinstance(searcher, RowSearcher):
        return searcher.search_rows(queries, k)
    return searcher.search(queries, k).rows(row_of, k)


class TextEncoder(Protocol):
    """Texts to unit vectors. Queries and documents may be treated differently."""

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        ...

    @property
    def fingerprint(self) -> str:
        """sha256 over everything the vectors depend on: weights, tokenizer, length limit."""
        ...

    def encode_query(self, texts: Sequence[str]) -> np.ndarray:
        """(texts, dimensions) float32, L2-normalised rows."""
        ...

    def encode_document(self, texts: Sequence[str]) -> np.ndarray:
        """(texts, dimensions) float32, L2-normalised rows."""
        ...


class TextEncoderConfig(Protocol):
    """The choice of a text encoder as a value."""

    def fit(self, texts: Sequence[str]) -> State:
        """What must be learnt from the collection; {} for a pretrained encoder."""
        ...

    def build(self, state: State) -> TextEncoder:
        """The encoder itself, from what `fit` returned or from what was saved of it."""
        ...
