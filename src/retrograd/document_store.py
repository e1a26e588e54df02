"""The documents of a saved system in one SQLite file whose every page carries a checksum.

Knows documents only: their order, ids, texts and metadata. SQLite is the truth; indexes are derived
from it. Pages are checked by SQLite's checksum VFS whenever they are read, which is the second
line behind the sha256 of the manifest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import apsw
import apsw.sqlite_extra

from retrograd.artifacts import fsync, storage_errors
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
_CHECKSUM_BYTES = 8  # per page; the VFS checks exactly the files that reserve this many


class DocumentStore:
    """An open, read-only store. Use `create` once, then `open`."""

    def __init__(self, path: Path, connection: apsw.Connection) -> None:
        self._path, self._connection = path, connection

    @classmethod
    def create(cls, path: str | Path, corpus: Corpus) -> DocumentStore:
        """Write all documents to a new file (an older one is replaced atomically) and open it.

        Raises:
            StorageError: the disk refused; an older file is intact.
            InputError: a document holds text that is not Unicode (a lone surrogate).
        """
        path = Path(path)
        partial = path.with_name(path.name + ".partial")
        partial.unlink(missing_ok=True)
        try:
            with storage_errors(path):
                _write(partial, corpus)
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
            connection = _connect(path, apsw.SQLITE_OPEN_READONLY)
            store = cls(path, connection)
            if connection.reserve_bytes() != _CHECKSUM_BYTES:
                raise ArtifactError(f"{path}: has no checksums, so it is damaged or foreign")
        return store

    def corpus(self) -> Corpus:
        """Every document in its original order."""
        with _integrity(self._path):
            rows = self._connection.execute(
                "SELECT id, title, text, metadata FROM documents ORDER BY position"
            )
            return Corpus([_document(row) for row in rows])

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
    return Document(key, text, title, json.loads(metadata))


def _write(path: Path, corpus: Corpus) -> None:
    connection = _connect(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
    try:
        connection.reserve_bytes(reserve=_CHECKSUM_BYTES)
        # the file is new, nameless to readers and fsynced by the caller: no journal is needed
        connection.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
        # committed alone: the VFS writes checksums only once page 1 on disk says that there are any, and a
        # transaction larger than the page cache spills its other pages first
        connection.execute(_SCHEMA)
        with connection:
            connection.executemany("INSERT INTO documents VALUES (?, ?, ?, ?, ?)", _rows(corpus))
    finally:
        connection.close()


def _rows(corpus: Corpus) -> Iterator[tuple[int, str, str, str, str]]:
    for position, document in enumerate(corpus):
        for text in (document.id, document.title, document.text):
            if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
                raise InputError(f"document {document.id!r} holds a lone surrogate, which is no Unicode text")
        metadata = json.dumps(dict(document.metadata), sort_keys=True)
        yield position, document.id, document.title, document.text, metadata


def _connect(path: Path, flags: int) -> apsw.Connection:
    _register_checksums()
    return apsw.Connection(str(path), flags=flags, vfs="cksmvfs")


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
    except (apsw.Error, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ArtifactError(f"{path}: is damaged or no document store ({error})") from error
