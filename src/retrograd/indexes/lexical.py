"""BM25 over document contents, in a tantivy folder that is written once.

Knows texts and rows, not queries with ids, rankings or models. The folder is derived from the
corpus: it may be thrown away and built again. Documents that come later stand in `later_terms` beside it.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tantivy

from retrograd.artifacts import from_json
from retrograd.errors import ArtifactError, StorageError
from retrograd.indexes.later_terms import LaterTerms, Seen
from retrograd.ops.words import analyzer, check_language, utf8
from retrograd.types import Corpus

K1 = 1.2
"""Saturation of term frequency. tantivy compiles it in: a fact to report, not a setting."""

B = 0.75
"""Strength of length normalisation; compiled in like `K1`."""

MAX_QUERY_TERMS = 1024
"""Distinct terms one query may use; of a longer query the rarest in the collection count, because
they weigh most and their posting lists are shortest. Keeps a pasted book as quick as a question."""

LENGTHS = "lengths.json"
"""In the folder: how many terms all documents have together."""

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
        self.analyzer = analyzer(language)
        index.register_tokenizer(_ANALYZER_PREFIX + language, self.analyzer)
        self._searcher = index.searcher()
        lengths = folder / LENGTHS
        self.num_terms: int | None = from_json(lengths.read_bytes()) if lengths.exists() else None
        """Of all documents together; None in a folder of a version that did not count them."""

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
            cls(tantivy.Index(_schema(language), path=str(partial)), partial, language)._write(corpus)
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
            index = cls(tantivy.Index.open(str(_lockable(folder))), folder, _language_of(folder))
            index._probe()
            return index

    @property
    def num_documents(self) -> int:
        """Documents of the corpus."""
        return self._searcher.num_docs

    def search(
        self, texts: Sequence[str], k: int, rows: np.ndarray | None = None, later: Seen | None = None
    ) -> list[list[tuple[int, float]]]:
        """Per text the `k` best `(row, score)`, best first, ties by row.

        A text is a bag of words, never query syntax; a word that occurs twice counts twice. A text
        without a known word (an empty one, too) has no answer. Scores are positive.

        Args:
            rows: (documents,) int64 numbers to answer with, -1 for a document that is hidden; it still
                counts for how rare a word is.
            later: documents that are not in the index, and found with it.

        Raises:
            ArtifactError: a file of the index is damaged where `open` did not look.
        """
        with _damage(self.folder):
            return [self._search(text, k, rows, later) for text in texts]

    def _write(self, corpus: Corpus) -> None:
        # One thread keeps the documents of a segment in row order, the same on every machine.
        writer = self._index.writer(_WRITER_BYTES, num_threads=1)
        num_terms = 0
        for row, document in enumerate(corpus):
            contents = utf8(document.contents)
            entry = tantivy.Document()
            entry.add_unsigned("row", row)
            entry.add_text("id", utf8(document.id))
            entry.add_text("contents", contents)
            writer.add_document(entry)
            num_terms += len(self.analyzer.analyze(contents))
        writer.commit()
        writer.wait_merging_threads()
        (self.folder / LENGTHS).write_text(json.dumps(num_terms))

    def _probe(self) -> None:
        """Answer one query: the files that hold postings and lengths are first read by a search."""
        for term, _ in self._searcher.terms_with_prefix("contents", "", limit=1):
            self._rank(self._clause(term, 1.0), 1, None)

    def _search(
        self, text: str, k: int, rows: np.ndarray | None, later: Seen | None
    ) -> list[tuple[int, float]]:
        counts = Counter(self.analyzer.analyze(utf8(text)))
        own = {term: self._searcher.doc_freq("contents", term) for term in counts}
        more = {} if later is None else {term: later.frequency(term) for term in counts}
        frequency = {term: own[term] + more.get(term, 0) for term in counts}
        known = sorted((term for term in counts if frequency[term]), key=lambda term: (frequency[term], term))
        known = known[:MAX_QUERY_TERMS]
        documents = self.num_documents + (0 if later is None else later.num_documents)
        rarity = {term: rarity_of(frequency[term], documents) for term in known}
        found = []
        if clauses := [
            # tantivy weighs a term by its own documents; the factor makes it weigh by all of them
            self._clause(term, counts[term] * rarity[term] / rarity_of(own[term], self.num_documents))
            for term in known
            if own[term]
        ]:
            query = tantivy.Query.boolean_query([(tantivy.Occur.Should, clause) for clause in clauses])
            found = self._rank(query, k, rows)
        if later is not None:
            found += later.scores({term: counts[term] * rarity[term] for term in known})
        return sorted(found, key=lambda hit: (-hit[1], hit[0]))[:k]

    def _rank(self, query: tantivy.Query, k: int, rows: np.ndarray | None) -> list[tuple[int, float]]:
        """The `k` best, and all that tie with the last of them."""
        limit = k + 1
        while True:
            hits = self._hits(query, limit)
            numbers = self._searcher.fast_field_values("row", [address for _, address in hits])
            found = [
                (int(number), float(score))
                for number, (score, _) in zip(numbers, hits, strict=True)
                if number is not None
            ]
            if rows is not None:
                found = [(int(rows[number]), score) for number, score in found if rows[number] >= 0]
            # a tie that crosses the cut has to be seen whole
            if len(hits) < limit or (len(found) >= k and found[k - 1][1] > hits[-1][0]):
                return found
            limit *= 4

    def _hits(self, query: tantivy.Query, limit: int) -> list[tuple[float, tantivy.DocAddress]]:
        # Counting turns off the pruned evaluation, which may add a document's terms in another order:
        # equal documents would then differ in the last bit and no longer tie.
        return self._searcher.search(query, limit, count=True).hits

    def _clause(self, term: str, factor: float) -> tantivy.Query:
        query = tantivy.Query.term_query(self._schema, "contents", term, index_option="freq")
        return query if factor == 1.0 else tantivy.Query.boost_query(query, factor)

    def later(self, mean_length: float) -> LaterTerms:
        """Where documents that come later are counted, in the same words and by the same formula.

        Args:
            mean_length: terms of a document of this index.
        """
        return LaterTerms(self.analyzer, k1=K1, b=B, mean_length=mean_length)


def rarity_of(frequency: int, documents: int) -> float:
    """`ln(1 + (N - n + .5) / (n + .5))` of a term in n of N documents."""
    return math.log(1 + (documents - frequency + 0.5) / (frequency + 0.5))


def _schema(language: str) -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("row", fast=True)
    builder.add_text_field("id", tokenizer_name="raw", index_option="basic")
    builder.add_text_field("contents", tokenizer_name=_ANALYZER_PREFIX + language, index_option="freq")
    return builder.build()


def _lockable(folder: Path) -> Path:
    """The folder, or a copy of one that cannot be written to: tantivy takes a lock even to read."""
    if not folder.is_dir() or os.access(folder, os.W_OK):
        return folder
    copy = Path(tempfile.mkdtemp(prefix="retrograd-")) / folder.name
    copy.mkdir()
    for path in folder.iterdir():
        shutil.copyfile(path, copy / path.name)
    return copy


def _language_of(folder: Path) -> str:
    """The analyser's name in tantivy's own metadata says which language the folder was built for."""
    schema = from_json((folder / "meta.json").read_text(encoding="utf-8"))["schema"]
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
