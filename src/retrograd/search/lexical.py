"""BM25 as a searcher: the baseline every other system is printed beside.

Knows which folder holds the index and what else stands in it beside the documents; how words are
counted is `indexes.lexical`'s business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from retrograd.artifacts import array_to_text, text_to_array
from retrograd.data.examples import PseudoQueries
from retrograd.errors import ArtifactError
from retrograd.indexes.lexical import LexicalIndex
from retrograd.ops.words import check_language
from retrograd.search.parts import Parts
from retrograd.types import Corpus, Hit, Query, Ranking

FOLDER = "lexical"
"""Name of the index inside the system's folder; an expanded one adds what it was expanded by."""


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
        """Open the index where `parts` places it, or build it where it is missing.

        An expansion leaves its texts in `parts.arrays`, so that a copy needs no generator.

        Raises:
            ArtifactError: the index is damaged or is not one of this corpus and language.
        """
        folder = parts.place(self.folder)
        if not folder.exists():
            index = LexicalIndex.build(self._indexed(parts), folder, self.language)
            return LexicalSearcher(parts.corpus, index)
        index = LexicalIndex.open(folder)
        found, wanted = (index.num_documents, index.language), (len(parts.corpus), self.language)
        if found != wanted:
            raise ArtifactError(
                f"{folder}: holds {found[0]} documents in {found[1]}, but the system has {wanted[0]} in "
                f"{wanted[1]}; delete the folder to rebuild it"
            )
        return LexicalSearcher(parts.corpus, index)

    def _indexed(self, parts: Parts) -> Corpus:
        if self.expansion is None:
            return parts.corpus
        key = f"{self.folder}.texts"
        if key not in parts.arrays:
            parts.arrays[key] = text_to_array("\n".join(expansions(self.expansion, parts.corpus)))
        added = array_to_text(parts.arrays[key]).split("\n")
        if len(added) != len(parts.corpus):
            raise ArtifactError(
                f"{len(added)} expansions were saved but the corpus has {len(parts.corpus)} documents; "
                f"drop {key!r} to make them again"
            )
        return Corpus(
            replace(document, text=f"{document.text} {text}")
            for document, text in zip(parts.corpus, added, strict=True)
        )


def expansions(source: PseudoQueries, corpus: Corpus) -> list[str]:
    """The generated queries of each document on one line, in corpus order; "" where there are none."""
    groups = source.generator.generate(corpus, source.per_document, source.seed)
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

    def __init__(self, corpus: Corpus, index: LexicalIndex) -> None:
        self._ids, self._index = corpus.ids, index

    def search(self, queries: Sequence[Query], k: int) -> Ranking:
        """The `k` best documents of each query; only documents that share a word with it."""
        found = self._index.search([query.text for query in queries], k)
        hits = tuple(tuple(Hit(self._ids[row], score) for row, score in rows) for rows in found)
        return Ranking(tuple(query.id for query in queries), hits)

    def search_rows(self, queries: Sequence[Query], k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `search`, in matrices: scores (q, k) float64, rows (q, k) int64, -1 padded."""
        scores = np.full((len(queries), k), -np.inf)
        rows = np.full((len(queries), k), -1, np.int64)
        for at, hits in enumerate(self._index.search([query.text for query in queries], k)):
            rows[at, : len(hits)] = [row for row, _ in hits]
            scores[at, : len(hits)] = [score for _, score in hits]
        return scores, rows
