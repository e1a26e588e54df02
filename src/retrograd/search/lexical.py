"""BM25 as a searcher: the baseline every other system is printed beside.

Knows which folder holds the index; how words are counted is `indexes.lexical`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from retrograd.errors import ArtifactError
from retrograd.indexes.lexical import LexicalIndex, check_language
from retrograd.search.parts import Parts
from retrograd.types import Corpus, Hit, Query, Ranking

FOLDER = "lexical"
"""Name of the index inside the system's folder."""


@dataclass(frozen=True, kw_only=True)
class Lexical:
    """BM25 over title and text at the constants `indexes.lexical.K1` and `B`, which are not settings."""

    language: str = "english"
    """Whose stemmer and stop words are used; one of `indexes.lexical.LANGUAGES`."""

    def __post_init__(self) -> None:
        check_language(self.language)

    def build(self, parts: Parts) -> LexicalSearcher:
        """Open `parts.folder / "lexical"`, or build it where it is missing.

        Raises:
            ArtifactError: the index is damaged or is not one of this corpus and language.
        """
        folder = parts.folder / FOLDER
        if not folder.exists():
            return LexicalSearcher(parts.corpus, LexicalIndex.build(parts.corpus, folder, self.language))
        index = LexicalIndex.open(folder)
        found, wanted = (index.num_documents, index.language), (len(parts.corpus), self.language)
        if found != wanted:
            raise ArtifactError(
                f"{folder}: holds {found[0]} documents in {found[1]}, but the system has {wanted[0]} in "
                f"{wanted[1]}; delete the folder to rebuild it"
            )
        return LexicalSearcher(parts.corpus, index)


class LexicalSearcher:
    """Answers by BM25; a query without a known word, such as an empty one, gets no hit."""

    def __init__(self, corpus: Corpus, index: LexicalIndex) -> None:
        self._ids, self._index = corpus.ids, index

    def search(self, queries: Sequence[Query], k: int) -> Ranking:
        """The `k` best documents of each query; only documents that share a word with it."""
        found = self._index.search([query.text for query in queries], k)
        hits = tuple(tuple(Hit(self._ids[row], score) for row, score in rows) for rows in found)
        return Ranking(tuple(query.id for query in queries), hits)
