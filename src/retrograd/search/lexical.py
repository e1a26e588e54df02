"""BM25 as a searcher: the baseline every other system is printed beside.

Knows which folder holds the index and what else stands in it beside the documents; how words are
counted is `indexes.lexical`'s business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from retrograd.artifacts import array_to_text, text_to_array
from retrograd.data.examples import PseudoQueries
from retrograd.errors import ArtifactError
from retrograd.indexes.later_terms import LaterTerms, Seen
from retrograd.indexes.lexical import LexicalIndex
from retrograd.ops.words import check_language, utf8
from retrograd.search.parts import Drift, Parts
from retrograd.types import Corpus, Document, Hit, Query, Ranking

FOLDER = "lexical"
"""Name of the index inside the system's folder; an expanded one adds what it was expanded by."""


TEXTS = ".texts"
"""Behind the folder's name: key of the generated texts among `Parts.arrays`, one line per document."""


@dataclass(frozen=True, kw_only=True)
class Lexical:
    """BM25 over title and text at the constants `indexes.lexical.K1` and `B`, which are not settings."""

    language: str = "english"
    """Whose stemmer and stop words are used; one of `ops.words.LANGUAGES`."""

    expansion: PseudoQueries | None = None
    """Generated queries that are indexed behind each document's own words (Nogueira et al. 2019,
    arXiv:1904.08375, section 3); None indexes the documents alone."""

    def __post_init__(self) -> None:
        check_language(self.language)

    @property
    def folder(self) -> str:
        """Name of the index inside the system's folder, another for every expansion."""
        if self.expansion is None:
            return FOLDER
        return f"{FOLDER}-{hashlib.sha256(_signature(self.expansion).encode()).hexdigest()[:12]}"

    def build(self, parts: Parts) -> LexicalSearcher:
        """Open the index where `parts` places it, or build it where it is missing; documents that are not
        in it are counted beside it.

        An expansion leaves its texts in `parts.arrays`, so that a copy needs no generator.

        Raises:
            ArtifactError: the index is damaged or is not one of this corpus and language.
        """
        folder = parts.place(self.folder)
        index = parts.once(f"{folder} {self.language}", lambda: self._index(parts, folder))
        found, wanted = (index.num_documents, index.language), (len(parts.base), self.language)
        if found != wanted:
            raise ArtifactError(
                f"{folder}: holds {found[0]} documents in {found[1]}, but the system has {wanted[0]} in "
                f"{wanted[1]}; delete the folder to rebuild it"
            )
        if parts.drift is None:
            return LexicalSearcher(parts.corpus, index)
        return LexicalSearcher(parts.corpus, index, parts.drift.rows, self._later(parts, index, parts.drift))

    def _index(self, parts: Parts, folder: Path) -> LexicalIndex:
        if folder.exists():
            return LexicalIndex.open(folder)
        return LexicalIndex.build(self._indexed(parts), folder, self.language)

    def _indexed(self, parts: Parts) -> Corpus:
        if self.expansion is None:
            return parts.base
        key = f"{self.folder}{TEXTS}"
        if key not in parts.arrays:
            parts.arrays[key] = text_to_array("\n".join(expansions(self.expansion, parts.base)))
        added = array_to_text(parts.arrays[key]).split("\n")
        if len(added) != len(parts.base):
            raise ArtifactError(
                f"{len(added)} expansions were saved but the corpus has {len(parts.base)} documents; "
                f"drop {key!r} to make them again"
            )
        return Corpus(expanded(document, text) for document, text in zip(parts.base, added, strict=True))

    def _later(self, parts: Parts, index: LexicalIndex, drift: Drift) -> Seen:
        def begin() -> LaterTerms:
            terms = index.num_terms
            if terms is None:
                terms = sum(len(index.analyzer.analyze(utf8(d.contents))) for d in self._indexed(parts))
            return index.later(terms / max(len(parts.base), 1))

        texts = [
            expanded(parts.corpus[row], own.get(self.folder, "")).contents
            for row, own in zip(drift.joined.tolist(), drift.texts, strict=True)
        ]
        return parts.once(f"{index.folder} later", begin).seen(drift.places, texts, drift.joined)


def expanded(document: Document, text: str) -> Document:
    """A document with generated queries behind its own words."""
    return replace(document, text=f"{document.text} {text}") if text else document


def expanding(config: Any) -> tuple[Lexical, ...]:
    """Every config with an expansion inside a search config."""
    if isinstance(config, Lexical):
        return (config,) if config.expansion is not None else ()
    values = config if isinstance(config, tuple) else ()
    if is_dataclass(config):
        values = tuple(getattr(config, f.name) for f in fields(config))
    return tuple(dict.fromkeys(found for value in values for found in expanding(value)))


def expansions(source: PseudoQueries, corpus: Corpus, background: Corpus | None = None) -> list[str]:
    """The generated queries of each document on one line, in corpus order; "" where there are none.

    Args:
        background: as in `QueryGenerator.generate`.
    """
    groups = source.generator.generate(corpus, source.per_document, source.seed, background)
    return [" ".join(" ".join(group).split()) for group in groups]


def _signature(config: Any) -> str:
    """A config in words, without fields at their default: one added later renames no index on disk."""
    if not is_dataclass(config):
        return repr(config)
    given = [
        (f.name, getattr(config, f.name)) for f in fields(config) if getattr(config, f.name) != _default(f)
    ]
    return f"{type(config).__name__}({', '.join(f'{name}={_signature(value)}' for name, value in given)})"


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


class LexicalSearcher:
    """Answers by BM25; a query without a known word, such as an empty one, gets no hit."""

    def __init__(
        self, corpus: Corpus, index: LexicalIndex, rows: np.ndarray | None = None, later: Seen | None = None
    ) -> None:
        """`rows` and `later` as in `LexicalIndex.search`."""
        self._ids, self._index, self._rows, self._later = corpus.ids, index, rows, later

    def search(self, queries: Sequence[Query], k: int) -> Ranking:
        """The `k` best documents of each query; only documents that share a word with it."""
        found = self._found(queries, k)
        hits = tuple(tuple(Hit(self._ids[row], score) for row, score in rows) for rows in found)
        return Ranking(tuple(query.id for query in queries), hits)

    def search_rows(self, queries: Sequence[Query], k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `search`, in matrices: scores (q, k) float64, rows (q, k) int64, -1 padded."""
        scores = np.full((len(queries), k), -np.inf)
        rows = np.full((len(queries), k), -1, np.int64)
        for at, hits in enumerate(self._found(queries, k)):
            rows[at, : len(hits)] = [row for row, _ in hits]
            scores[at, : len(hits)] = [score for _, score in hits]
        return scores, rows

    def _found(self, queries: Sequence[Query], k: int) -> list[list[tuple[int, float]]]:
        return self._index.search([query.text for query in queries], k, self._rows, self._later)
