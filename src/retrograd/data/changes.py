"""Files that say what changes in a corpus: documents that come, or ids of those that go, each with its line.

Knows files only; what a system holds already is for the caller to compare.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from retrograd.data.beir import document_rows, unique
from retrograd.data.lines import check_id, id_field, json_object, read_lines
from retrograd.progress import track
from retrograd.types import Document

ID_NAMES = ("_id", "id")
"""Fields that may hold a document's id; the first of them that a record has."""

STANDARD_INPUT = Path("/dev/stdin")
"""What `-` stands for; it holds JSON where its first line begins with a brace."""

Listed = dict[str, tuple[int, Document]]
"""Document id -> the line it stands on, and the document."""


def read_changed(path: Path) -> Listed:
    """Documents of a `.jsonl[.gz]` file: `_id` or `id`, `text`, optionally `title` and `metadata`.

    Raises:
        InputError: a faulty line, an id that occurs twice (with both lines), or no document.
    """
    return _listed(track(document_rows(path, ID_NAMES), f"reading {path.name}"), path)


def read_ids(path: Path) -> Listed:
    """Ids of documents, one per line of a text file, or the `_id` or `id` of each record of a `.jsonl[.gz]`.

    Raises:
        InputError: as `read_changed`.
    """
    return _listed(_id_rows(path), path)


def _id_rows(path: Path) -> Iterator[tuple[int, Document]]:
    as_json = path.name.removesuffix(".gz").endswith(".jsonl")
    for line, text in read_lines(path):
        if not text.strip():
            continue
        if path == STANDARD_INPUT and text.lstrip().startswith("{"):
            as_json = True
        if as_json:
            record = json_object(text, path=path, line=line)
            name = next((name for name in ID_NAMES if name in record), ID_NAMES[0])
            yield line, Document(id_field(record, name, path=path, line=line))
        else:
            yield line, Document(check_id(text.strip(), "id", path=path, line=line))


def _listed(rows: Iterator[tuple[int, Document]], path: Path) -> Listed:
    line_of: dict[str, int] = {}

    def noted() -> Iterator[tuple[int, Document]]:
        for line, document in rows:
            line_of.setdefault(document.id, line)
            yield line, document

    return {document.id: (line_of[document.id], document) for document in unique(noted(), path, "document")}
