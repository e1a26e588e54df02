"""BM25 over document contents, in a tantivy folder that can grow and shrink.

Knows texts and rows, not queries with ids, rankings or models. The folder is derived from the
corpus: it may be thrown away and built again.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import tantivy

from retrograd.errors import ArtifactError, StorageError
from retrograd.ops.words import analyzer, check_language, utf8
from retrograd.types import Corpus, Document

K1 = 1.2
"""Saturation of term frequency. tantivy compiles it in: a fact to report, not a setting."""

B = 0.75
"""Strength of length normalisation; compiled in like `K1`."""

MAX_QUERY_TERMS = 1024
"""Distinct terms one query may use; of a longer query the rarest in the collection count, because
they weigh most and their posting lists are shortest. Keeps a pasted book as quick as a question."""

_WRITER_BYTES = 128_000_000
_ANALYZER_PREFIX = "contents_"


class LexicalIndex:
    """An inverted index of one corpus. Scores follow BM25 as Lucene computes it (Robertson and
    Zaragoza 2009, eq. 3.15, with `idf = ln(1 + (N - n + .5) / (n + .5))`) at the fixed `K1`, `B`.

    A text becomes its alphanumeric runs, lower-cased, without stop words, stemmed (Snowball). tantivy
    stores a document's length in one byte, exact up to 40 terms and within 6 % above.
    """

    def __init__(self, index: tantivy.Index, folder: Path, language: str) -> None:
        self.folder, self.language = folder, language
        self._index, self._schema = index, index.schema
        self._analyzer = analyzer(language)
        index.register_tokenizer(_ANALYZER_PREFIX + language, self._analyzer)
        self._searcher = index.searcher()
        self._writer: tantivy.IndexWriter | None = None

    @classmethod
    def build(cls, corpus: Corpus, folder: Path, language: str = "english") -> LexicalIndex:
        """Index a corpus into `folder`, replacing what stands there only once all is written.

        Raises:
            ValueError: a language that is not in `LANGUAGES`.
            StorageError: the disk refused a write.
        """
        check_language(language)
        partial = folder.with_name(folder.name + ".partial")
        with _disk_errors(folder):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            index = cls(tantivy.Index(_schema(language), path=str(partial)), partial, language)
            index.add(tuple(corpus), first_row=0)
            index.commit()
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> LexicalIndex:
        """The index `build` wrote.

        Raises:
            ArtifactError: the folder is missing, damaged, or holds another kind of index.
        """
        with _damage(folder):
            index = cls(tantivy.Index.open(str(folder)), folder, _language_of(folder))
            index._probe()
            return index

    @property
    def num_documents(self) -> int:
        """Documents visible to `search`."""
        return self._searcher.num_docs

    def search(self, texts: Sequence[str], k: int) -> list[list[tuple[int, float]]]:
        """Per text the `k` best `(row, score)`, best first, ties by row.

        A text is a bag of words, never query syntax; a word that occurs twice counts twice. A text
        without a known word (an empty one, too) has no answer. Scores are positive.

        Raises:
            ArtifactError: a file of the index is damaged where `open` did not look.
        """
        with _damage(self.folder):
            return [self._search(text, k) for text in texts]

    def add(self, documents: Sequence[Document], *, first_row: int) -> None:
        """Stage documents as rows `first_row`, `first_row + 1`, ...; `commit` makes them visible.

        A document whose id is already indexed is replaced.
        """
        with _disk_errors(self.folder):
            writer = self._open_writer()
            for row, document in enumerate(documents, first_row):
                writer.delete_documents_by_term("id", utf8(document.id))
                entry = tantivy.Document()
                entry.add_unsigned("row", row)
                entry.add_text("id", utf8(document.id))
                entry.add_text("contents", utf8(document.contents))
                writer.add_document(entry)

    def delete(self, ids: Sequence[str]) -> None:
        """Stage the removal of documents; unknown ids are ignored. Other rows keep their number."""
        with _disk_errors(self.folder):
            writer = self._open_writer()
            for id in ids:
                writer.delete_documents_by_term("id", utf8(id))

    def commit(self) -> None:
        """Make what was staged durable and visible, and let go of the folder's write lock."""
        if self._writer is None:
            return
        with _disk_errors(self.folder):
            self._writer.commit()
            self._writer.wait_merging_threads()
            self._writer = None
            self._index.reload()
            self._searcher = self._index.searcher()

    def _probe(self) -> None:
        """Answer one query: the files that hold postings and lengths are first read by a search."""
        for term, _ in self._searcher.terms_with_prefix("contents", "", limit=1):
            self._rank(self._clause(term, 1), 1)

    def _open_writer(self) -> tantivy.IndexWriter:
        if self._writer is None:
            # One thread keeps the documents of a segment in row order, the same on every machine.
            self._writer = self._index.writer(_WRITER_BYTES, num_threads=1)
        return self._writer

    def _search(self, text: str, k: int) -> list[tuple[int, float]]:
        query = self._query(text)
        return [] if query is None else self._rank(query, k)

    def _rank(self, query: tantivy.Query, k: int) -> list[tuple[int, float]]:
        limit = k + 1
        hits = self._hits(query, limit)
        while len(hits) == limit and hits[-1][0] == hits[k - 1][0]:  # a tie crosses the cut: see all of it
            limit *= 4
            hits = self._hits(query, limit)
        rows = self._searcher.fast_field_values("row", [address for _, address in hits])
        found = [
            (int(row), float(score)) for row, (score, _) in zip(rows, hits, strict=True) if row is not None
        ]
        return sorted(found, key=lambda hit: (-hit[1], hit[0]))[:k]

    def _hits(self, query: tantivy.Query, limit: int) -> list[tuple[float, tantivy.DocAddress]]:
        # Counting turns off the pruned evaluation, which may add a document's terms in another order:
        # equal documents would then differ in the last bit and no longer tie.
        return self._searcher.search(query, limit, count=True).hits

    def _query(self, text: str) -> tantivy.Query | None:
        counts = Counter(self._analyzer.analyze(utf8(text)))
        frequency = {term: self._searcher.doc_freq("contents", term) for term in counts}
        known = sorted((term for term in counts if frequency[term]), key=lambda term: (frequency[term], term))
        if not known:
            return None
        clauses = [
            (tantivy.Occur.Should, self._clause(term, counts[term])) for term in known[:MAX_QUERY_TERMS]
        ]
        return tantivy.Query.boolean_query(clauses)

    def _clause(self, term: str, count: int) -> tantivy.Query:
        query = tantivy.Query.term_query(self._schema, "contents", term, index_option="freq")
        return query if count == 1 else tantivy.Query.boost_query(query, float(count))


def _schema(language: str) -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("row", fast=True)
    builder.add_text_field("id", tokenizer_name="raw", index_option="basic")
    builder.add_text_field("contents", tokenizer_name=_ANALYZER_PREFIX + language, index_option="freq")
    return builder.build()


def _language_of(folder: Path) -> str:
    """The analyser's name in tantivy's own metadata says which language the folder was built for."""
    schema = json.loads((folder / "meta.json").read_text(encoding="utf-8"))["schema"]
    options = {entry["name"]: entry["options"] for entry in schema}
    return str(options["contents"]["indexing"]["tokenizer"]).removeprefix(_ANALYZER_PREFIX)


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise StorageError(f"{folder}: the lexical index could not be written: {error}") from error


@contextmanager
def _damage(folder: Path) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        # A damaged file makes tantivy panic, which arrives as an exception outside `Exception`.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ArtifactError(f"{folder}: no readable lexical index ({error}); delete it to rebuild") from error
