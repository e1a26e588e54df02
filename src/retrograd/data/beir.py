"""The layout of BEIR: `corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`, each plain or `.gz`.

Knows files and the nouns they hold; how a dataset is put together from them is `dataset`'s.
Layout: Thakur et al. 2021, "BEIR: A Heterogenous Benchmark for Zero-shot Evaluation".
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from retrograd.data.lines import check_id, id_field, integer, read_jsonl, read_lines, text_field
from retrograd.errors import InputError
from retrograd.types import Corpus, Document, Query

QRELS_HEADER = ("query-id", "corpus-id", "score")


def read_corpus(path: Path | str, *, id_name: str = "_id") -> Corpus:
    """Documents of a `.jsonl[.gz]` file: `_id` and `text`, optionally `title` and `metadata`.

    Raises:
        InputError: see `lines.read_jsonl`; a field is missing or of the wrong kind, an id occurs
            twice, or there is no document.
    """
    return Corpus(unique(document_rows(path, (id_name,)), path, "document"))


def document_rows(path: Path | str, id_names: Sequence[str]) -> Iterator[tuple[int, Document]]:
    """(line, document) as `read_corpus` reads them; ids may come twice and under any of several names.

    Raises:
        InputError: as `read_corpus`.
    """
    for line, record in read_jsonl(path):
        id_name = next((name for name in id_names if name in record), id_names[0])
        metadata: Any = record.get("metadata") or {}
        if not isinstance(metadata, dict):
            reason = f"field 'metadata' must be an object, not {type(metadata).__name__}"
            raise InputError(reason, path=path, line=line)
        yield (
            line,
            Document(
                id=id_field(record, id_name, path=path, line=line),
                text=text_field(record, "text", path=path, line=line),
                title=text_field(record, "title", path=path, line=line, default=""),
                metadata=metadata,
            ),
        )


def read_queries(path: Path | str) -> dict[str, Query]:
    """Queries of a `.jsonl[.gz]` file (`_id`, `text`), by id and in file order.

    A query may have a `history`, a list of ids, oldest first, and then does without a text.

    Raises:
        InputError: as `read_corpus`.
    """

    def rows() -> Iterator[tuple[int, Query]]:
        for line, record in read_jsonl(path):
            query = id_field(record, "_id", path=path, line=line)
            past = record.get("history") or []
            if not isinstance(past, list) or not all(isinstance(item, str) and item for item in past):
                raise InputError("field 'history' must be a list of ids", path=path, line=line)
            text = text_field(record, "text", path=path, line=line, default="" if past else None)
            yield line, Query(query, text, tuple(past))

    return {query.id: query for query in unique(rows(), path, "query")}


def read_qrels(
    path: Path | str, *, queries: Container[str], documents: Container[str]
) -> dict[str, dict[str, int]]:
    """Judgements of a `.tsv[.gz]` file with the header `query-id corpus-id score`.

    Raises:
        InputError: no header, another number of columns, a grade that is no whole number, a query or
            document that does not exist, or a pair that is judged twice with different grades.
    """
    qrels: dict[str, dict[str, int]] = {}
    for line, text in read_lines(path):
        cells = text.split("\t")
        if line == 1:
            if tuple(cells) != QRELS_HEADER:
                wanted = "<TAB>".join(QRELS_HEADER)
                raise InputError(f"the first line must be the header {wanted}", path=path, line=1)
        elif text.strip():
            if len(cells) != len(QRELS_HEADER):
                reason = f"{len(cells)} columns where the header has {len(QRELS_HEADER)}"
                raise InputError(reason, path=path, line=line)
            query, document, grade = cells
            known(query, queries, "query", path=path, line=line)
            known(document, documents, "document", path=path, line=line)
            judge(qrels, query, document, integer(grade, "grade", path=path, line=line), path=path, line=line)
    if not qrels:
        raise InputError("no judgement follows the header", path=path, line=1)
    return qrels


def known(value: str, ids: Container[str], kind: str, *, path: Path | str, line: int) -> None:
    """Refuse an id that names nothing."""
    if value not in ids:
        raise InputError(f"{kind} {value!r:.80} does not exist", path=path, line=line)


def judge(
    qrels: dict[str, dict[str, int]], query: str, document: str, grade: int, *, path: Path | str, line: int
) -> None:
    """Enter one judgement; the same one twice is harmless, two different ones are not."""
    check_id(query, "query-id", path=path, line=line)
    check_id(document, "corpus-id", path=path, line=line)
    grades = qrels.setdefault(query, {})
    if grades.setdefault(document, grade) != grade:
        reason = f"query {query!r:.40} judges document {document!r:.40} as {grades[document]} and as {grade}"
        raise InputError(reason, path=path, line=line)


def unique(rows: Iterable[tuple[int, Any]], path: Path | str, kind: str) -> Iterator[Any]:
    """The values, once no two are known to share an id and at least one came."""
    first: dict[str, int] = {}
    for line, value in rows:
        if first.setdefault(value.id, line) != line:
            reason = f"{kind} id {value.id!r:.80} occurs twice, first on line {first[value.id]}"
            raise InputError(reason, path=path, line=line)
        yield value
    if not first:
        raise InputError(f"holds no {kind}; give at least one", path=path)
