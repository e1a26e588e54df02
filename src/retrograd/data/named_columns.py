"""Documents and queries from files of one's own: jsonl, csv or tsv with named columns.

The names of the columns are the caller's; nothing here guesses what a column means.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrograd.data.beir import unique
from retrograd.data.lines import id_field, read_jsonl, read_table, text_field
from retrograd.errors import InputError
from retrograd.types import Corpus, Document, Query

SUFFIXES = (".jsonl", ".csv", ".tsv")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which column holds what."""

    id: str = "id"
    """Column of the id."""

    text: str = "text"
    """Column of the text."""

    title: str = "title"
    """Column of the title; a file without it has empty titles. The rest becomes metadata."""

    def __post_init__(self) -> None:
        names = (self.id, self.text, self.title)
        if "" in names or len(set(names)) != len(names):
            raise ValueError(f"id={self.id!r}, text={self.text!r}, title={self.title!r} must be three names")


DEFAULT_COLUMNS = Columns()


def read_documents(path: Path | str, columns: Columns = DEFAULT_COLUMNS) -> Corpus:
    """A corpus from `.jsonl`, `.csv` or `.tsv`, each plain or `.gz`.

    Raises:
        InputError: another suffix, a missing column, an id that occurs twice, or whatever
            `lines.read_jsonl` and `lines.read_table` refuse.
    """

    def rows() -> Iterator[tuple[int, Document]]:
        for line, record in _records(path, columns):
            document = id_field(record, columns.id, path=path, line=line)
            text = text_field(record, columns.text, path=path, line=line)
            title = text_field(record, columns.title, path=path, line=line, default="")
            rest = {k: v for k, v in record.items() if k not in (columns.id, columns.text, columns.title)}
            yield line, Document(document, text, title, rest)

    return Corpus(unique(rows(), path, "document"))


def read_plain_queries(path: Path | str, columns: Columns = DEFAULT_COLUMNS) -> dict[str, Query]:
    """Queries from the same kinds of file, by id and in file order.

    Raises:
        InputError: as `read_documents`.
    """

    def rows() -> Iterator[tuple[int, Query]]:
        for line, record in _records(path, columns):
            query = id_field(record, columns.id, path=path, line=line)
            yield line, Query(query, text_field(record, columns.text, path=path, line=line))

    return {query.id: query for query in unique(rows(), path, "query")}


def _records(path: Path | str, columns: Columns) -> Iterator[tuple[int, dict[str, Any]]]:
    suffix = Path(Path(path).name.removesuffix(".gz")).suffix
    if suffix not in SUFFIXES:
        raise InputError(f"suffix {suffix!r} is not one of {', '.join(SUFFIXES)} (or .gz of them)", path=path)
    if suffix == ".jsonl":
        yield from read_jsonl(path)
    else:
        yield from read_table(path, (columns.id, columns.text))
