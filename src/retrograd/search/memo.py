"""A memory of what was taken after a query: the baseline where queries come back.

Knows query texts, document ids and counts; it learns nothing that carries over to another text. On
collections whose test queries also occur in train it is hard to beat, so it must be shown there.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from retrograd.artifacts import array_to_text, from_json, text_to_array
from retrograd.data.examples import ExampleContext
from retrograd.search.combine import Scorer
from retrograd.search.parts import Parts
from retrograd.types import Hit, Qrels, Query, Ranking, Searcher, State

Clicks = Mapping[str, Mapping[str, int]]
"""Normalised query text -> document id -> how often it was taken."""

MEMORY = "clicks"
"""Under which name clicks are kept, whoever reads them."""


@dataclass(frozen=True, kw_only=True)
class ClickMemo:
    """First what was taken after this very text, by count; then what another searcher says."""

    then: Any
    """Search config of the one that orders equal counts and answers the rest."""

    depth: int = 100
    """Documents asked of `then`, or k where that is more."""

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ValueError(f"depth={self.depth} must be at least 1")

    memory: ClassVar[str] = MEMORY

    def learn(self, context: ExampleContext) -> State:
        """Count the judgements."""
        return to_state(count_clicks(context.queries, context.qrels))

    def build(self, parts: Parts) -> MemoSearcher:
        """From what `learn` counted; a system fitted without judgements remembers nothing."""
        return MemoSearcher(
            from_state(parts.remembered(MEMORY)), self.then.build(parts), parts.corpus.row_of, self.depth
        )


class MemoSearcher:
    """Puts what is remembered before what `then` finds.

    A hit's score is its count plus `squashed(score)` of `then`, so that counts decide first. A text that
    is not remembered gets the answer of `then` as it is.
    """

    def __init__(self, clicks: Clicks, then: Searcher, row_of: Mapping[str, int], depth: int) -> None:
        self._clicks, self._then, self._row_of, self._depth = clicks, then, row_of, depth

    def search(self, queries: Sequence[Query], k: int) -> Ranking:
        """The `k` best: remembered documents by count, equal counts and the rest as `then` ranks them."""
        counts = [self._remembered(query) for query in queries]
        known = [at for at, taken in enumerate(counts) if taken]
        unknown = [at for at, taken in enumerate(counts) if not taken]
        answers = dict(zip(unknown, self._then.search([queries[at] for at in unknown], k).hits, strict=True))
        joined = self._joined([queries[at] for at in known], [counts[at] for at in known], k)
        answers |= dict(zip(known, joined, strict=True))
        return Ranking(tuple(query.id for query in queries), tuple(answers[at] for at in range(len(queries))))

    def _remembered(self, query: Query) -> dict[str, int]:
        counts = self._clicks.get(normalised(query.text), {})
        return {document: count for document, count in counts.items() if document in self._row_of}

    def _joined(
        self, queries: Sequence[Query], counts: Sequence[Mapping[str, int]], k: int
    ) -> list[tuple[Hit, ...]]:
        found = self._then.search(queries, max(k, self._depth)).hits
        missing = [
            sorted(taken.keys() - {hit.document for hit in hits}, key=self._row_of.__getitem__)
            for taken, hits in zip(counts, found, strict=True)
        ]
        more = self._scored(queries, missing)
        return [
            self._best((*hits, *extra), taken, k)
            for hits, extra, taken in zip(found, more, counts, strict=True)
        ]

    def _scored(self, queries: Sequence[Query], documents: Sequence[Sequence[str]]) -> list[list[Hit]]:
        """Hits for remembered documents that `then` did not find; the lowest score where it cannot say."""
        if not isinstance(self._then, Scorer):
            return [[Hit(document, -np.inf) for document in ids] for ids in documents]
        scores = self._then.score(queries, documents)
        return [
            [Hit(document, float(score)) for document, score in zip(ids, row, strict=True)]
            for ids, row in zip(documents, scores, strict=True)
        ]

    def _best(self, hits: Iterable[Hit], counts: Mapping[str, int], k: int) -> tuple[Hit, ...]:
        scored = (replace(hit, score=counts.get(hit.document, 0) + squashed(hit.score)) for hit in hits)
        return tuple(sorted(scored, key=lambda hit: (-hit.score, self._row_of[hit.document]))[:k])


def count_clicks(queries: Iterable[Query], qrels: Qrels) -> Clicks:
    """Count judgements by query text; a grade is how often a document was taken.

    Queries whose texts differ only in case, Unicode form or blanks are one; empty texts are left out.
    """
    clicks: dict[str, dict[str, int]] = {}
    for query in queries:
        if text := normalised(query.text):
            counts = clicks.setdefault(text, {})
            for document, grade in qrels.get(query.id, {}).items():
                if grade > 0:
                    counts[document] = counts.get(document, 0) + grade
    return {text: counts for text, counts in clicks.items() if counts}


def squashed(score: float) -> float:
    """Any score to [0, 1], in the same order: `(1 + s / (1 + |s|)) / 2`; minus infinity gives 0.

    >>> squashed(0.0), squashed(1.0), squashed(float("-inf"))
    (0.5, 0.75, 0.0)
    """
    return 0.0 if score == -np.inf else (1 + score / (1 + abs(score))) / 2


def normalised(text: str) -> str:
    """What two spellings of one query share: compatible Unicode form, no case, single blanks.

    >>> normalised("  Hair\\tSPRAY ")
    'hair spray'
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def to_state(clicks: Clicks) -> State:
    """The memory as arrays: a row of `counts` (n, 3) int64 names text, document and count."""
    texts, documents = list(clicks), sorted({document for counts in clicks.values() for document in counts})
    place = {document: at for at, document in enumerate(documents)}
    rows = [
        (at, place[document], count)
        for at, text in enumerate(texts)
        for document, count in clicks[text].items()
    ]
    return {
        "texts": text_to_array(json.dumps(texts)),
        "documents": text_to_array(json.dumps(documents)),
        "counts": np.asarray(rows, np.int64).reshape(-1, 3),
    }


def from_state(state: State) -> Clicks:
    """Undo `to_state`; {} remembers nothing."""
    if not state:
        return {}
    texts, documents = (from_json(array_to_text(state[name])) for name in ("texts", "documents"))
    clicks: dict[str, dict[str, int]] = {text: {} for text in texts}
    for text, document, count in state["counts"].tolist():
        clicks[texts[text]][documents[document]] = count
    return clicks
