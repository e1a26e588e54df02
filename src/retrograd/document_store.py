"""The documents of a saved system in one SQLite file whose every page carries a checksum.

Knows documents only: their order, ids, texts and metadata. SQLite is the truth; indexes are derived
from it. Pages are checked by SQLite's checksum VFS whenever they are read, which is the second
line behind the sha256 of the manifest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import apsw
import apsw.sqlite_extra
import numpy as np

from retrograd.artifacts import from_json, fsync, storage_errors
from retrograd.errors import ArtifactError, InputError, StorageError
from retrograd.types import Corpus, Document

_SCHEMA = """
CREATE TABLE documents (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    metadata TEXT NOT NULL
)
"""
CHECKSUM_BYTES = 8
"""Per page, at its end; the VFS checks exactly the files that reserve this many."""


class DocumentStore:
    """An open, read-only store. Use `create` once, then `open`."""

    def __init__(self, path: Path, connection: apsw.Connection) -> None:
        self._path, self._connection = path, connection

    @classmethod
    def create(
        cls, path: str | Path, corpus: Corpus, positions: Sequence[int] | None = None
    ) -> DocumentStore:
        """Write all documents to a new file (an older one is replaced atomically) and open it.

        Args:
            positions: ascending numbers that the documents keep for good; 0, 1, ... by default.

        Raises:
            StorageError: the disk refused; an older file is intact.
            InputError: a document holds text that is not Unicode (a lone surrogate).
        """
        path = Path(path)
        partial = path.with_name(path.name + ".partial")
        partial.unlink(missing_ok=True)
        try:
            with storage_errors(path):
                _write(partial, corpus, range(len(corpus)) if positions is None else positions)
                fsync(partial)
                partial.replace(path)
                fsync(path.parent)
        except (apsw.FullError, apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError) as error:
            raise StorageError(f"{path}: cannot be written ({error})") from error
        finally:
            partial.unlink(missing_ok=True)
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path) -> DocumentStore:
        """Open for reading; nothing is written beside the file.

        Raises:
            ArtifactError: missing, no SQLite file, or made without checksums.
        """
        path = Path(path)
        if not path.is_file():
            raise ArtifactError(f"{path}: no such file")
        with _integrity(path):
            connection = connect(path, apsw.SQLITE_OPEN_READONLY)
            store = cls(path, connection)
            if connection.reserve_bytes() != CHECKSUM_BYTES:
                raise ArtifactError(f"{path}: has no checksums, so it is damaged or foreign")
            refuse_code(connection, path)
        return store

    def corpus(self) -> Corpus:
        """Every document in its original order."""
        with _integrity(self._path):
            rows = self._connection.execute(
                "SELECT id, title, text, metadata FROM documents ORDER BY position"
            )
            return Corpus([_document(row) for row in rows])

    def positions(self) -> np.ndarray:
        """(documents,) int64: the number each document was given, in the order of `corpus`."""
        with _integrity(self._path):
            rows = self._connection.execute("SELECT position FROM documents ORDER BY position")
            return np.array([row[0] for row in rows], np.int64)

    def get(self, document_id: str) -> Document:
        """One document.

        Raises:
            InputError: no document has this id.
        """
        with _integrity(self._path):
            rows = self._connection.execute(
                "SELECT id, title, text, metadata FROM documents WHERE id = ?", (document_id,)
            )
            for row in rows:
                return _document(row)
        raise InputError(f"no document has the id {document_id!r}", path=self._path)

    def close(self) -> None:
        """Release the file."""
        self._connection.close()


def _document(row: tuple[apsw.SQLiteValue, ...]) -> Document:
    key, title, text, metadata = map(str, row)
    about = from_json(metadata)
    if not isinstance(about, dict):
        raise ValueError(f"metadata of document {key!r:.40} are no JSON object")
    return Document(key, text, title, about)


def document_row(document: Document) -> tuple[str, str, str, str]:
    """Id, title, text and metadata (JSON) as they are stored.

    Raises:
        InputError: text that is not Unicode, or metadata that JSON cannot hold.
    """
    for text in (document.id, document.title, document.text):
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise InputError(f"document {document.id!r} holds a lone surrogate, which is no Unicode text")
    try:
        metadata = json.dumps(dict(document.metadata), sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"document {document.id!r} has metadata that JSON cannot hold ({error})") from None
    return document.id, document.title, document.text, metadata


def _write(path: Path, corpus: Corpus, positions: Sequence[int]) -> None:
    connection = connect(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
    try:
        connection.reserve_bytes(reserve=CHECKSUM_BYTES)
        # the file is new, nameless to readers and fsynced by the caller: no journal is needed
        connection.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
        # committed alone: the VFS writes checksums only once page 1 on disk says that there are any, and a
        # transaction larger than the page cache spills its other pages first
        connection.execute(_SCHEMA)
        rows = ((int(at), *document_row(document)) for at, document in zip(positions, corpus, strict=True))
        with connection:
            connection.executemany("INSERT INTO documents VALUES (?, ?, ?, ?, ?)", rows)
    finally:
        connection.close()


def connect(path: Path, flags: int) -> apsw.Connection:
    """A connection that checks every page it reads."""
    _register_checksums()
    return apsw.Connection(str(path), flags=flags, vfs="cksmvfs")


def refuse_code(connection: apsw.Connection, path: Path) -> None:
    """Read tables only: a view, a trigger or a virtual table is a program that runs when it is asked.

    Raises:
        ArtifactError: there is one.
    """
    for kind, name in connection.execute("SELECT type, name FROM sqlite_schema WHERE rootpage = 0"):
        raise ArtifactError(f"{path}: holds {kind} {name!r:.40}, which is not of our making")


@cache
def _register_checksums() -> None:
    """Register the checksum VFS; it stays for the process but is kept from being everyone's default."""
    default = apsw.vfs_names()[0]
    memory = apsw.Connection(":memory:")
    apsw.sqlite_extra.load(memory, "cksumvfs")
    memory.close()
    apsw.set_default_vfs(default)


@contextmanager
def _integrity(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except (apsw.Error, ValueError) as error:
        raise ArtifactError(f"{path}: is damaged or no document store ({error})") from error
