"""Collections of the `ir_datasets` catalogue as a `Dataset` (extra `ir-datasets`).

The catalogue downloads and parses; this only renames. Documents without an own title keep an empty one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from retrograd.data.beir import unique
from retrograd.data.dataset import Dataset
from retrograd.errors import InputError
from retrograd.types import Corpus, Document, Query


def load_ir_dataset(identifier: str, *, split: str = "test") -> Dataset:
    """A dataset by its catalogue name, e.g. `beir/scifact/test`.

    Args:
        split: what to call the judgements of this dataset here.

    Raises:
        InputError: the extra is not installed, the name is unknown, it has no documents, an id occurs
            twice, or a judgement names a document or query that does not exist.
    """
    try:
        import ir_datasets
    except ImportError:
        reason = "ir_datasets is not installed; run `pip install 'retrograd[ir-datasets]'`"
        raise InputError(reason) from None
    try:
        source: Any = ir_datasets.load(identifier)
    except KeyError:
        raise InputError(f"ir_datasets knows no dataset {identifier!r:.80}") from None
    if not source.has_docs():
        raise InputError(f"ir_datasets entry {identifier!r} has no documents")
    corpus = Corpus(unique(_numbered(map(_document, source.docs_iter())), identifier, "document"))
    queries: dict[str, Query] = {}
    if source.has_queries():
        rows = (Query(row.query_id, _text(row, "query_id")) for row in source.queries_iter())
        queries = {query.id: query for query in unique(_numbered(rows), identifier, "query")}
    judged = source.qrels_iter() if source.has_qrels() and queries else ()
    qrels = _judgements(judged, corpus, queries, identifier)
    return Dataset(corpus, queries, {split: qrels} if qrels else {}, name=identifier)


def _numbered(values: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    return enumerate(values, 1)


def _document(row: Any) -> Document:
    title = getattr(row, "title", "") or ""
    return Document(row.doc_id, _text(row, "doc_id", "title", "url"), title)


def _text(row: Any, *left_out: str) -> str:
    """`text` where there is one, else every other text field in order: the catalogue names them freely."""
    if isinstance(getattr(row, "text", None), str):
        return str(row.text)
    values = (getattr(row, name) for name in row._fields if name not in left_out)
    return " ".join(value for value in values if isinstance(value, str) and value)


def _judgements(
    rows: Iterable[Any], corpus: Corpus, queries: dict[str, Query], identifier: str
) -> dict[str, dict[str, int]]:
    qrels: dict[str, dict[str, int]] = {}
    for row in rows:
        if row.query_id not in queries or row.doc_id not in corpus.row_of:
            pair = f"query {row.query_id!r:.40}, document {row.doc_id!r:.40}"
            raise InputError(f"a judgement names what does not exist: {pair}", path=identifier)
        qrels.setdefault(row.query_id, {})[row.doc_id] = int(row.relevance)
    return qrels
