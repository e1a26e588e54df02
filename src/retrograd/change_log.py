"""What happened to the documents since a system was fitted: an append-only log, one transaction a generation.

Knows documents, their keys and what was learnt for each alone; never models or indexes. It is the truth
about changes, so a generation is on the disk when `append` returns, and every page carries a checksum.
A place is the number a document was given when it first came: it orders documents and is never reused.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import apsw
import numpy as np

from retrograd.artifacts import from_json, fsync, storage_errors
from retrograd.document_store import CHECKSUM_BYTES, connect, document_row, refuse_code
from retrograd.errors import ArtifactError, StorageError
from retrograd.types import Document, State

Key = tuple[int, ...]

_SCHEMA = """
CREATE TABLE generations (
    number INTEGER PRIMARY KEY, time TEXT, action TEXT, added INTEGER, removed INTEGER, updated INTEGER,
    documents INTEGER, restores INTEGER, level_sizes TEXT, state BLOB
);
CREATE TABLE changes (
    number INTEGER PRIMARY KEY, generation INTEGER, kind TEXT, place INTEGER, id TEXT, title TEXT, text TEXT,
    metadata TEXT, keys TEXT, texts TEXT, learnt BLOB
)
"""
_GENERATION = "number, time, action, added, removed, updated, documents, restores"
_PUT, _GONE = "put", "delete"
_BUSY_MS = 20_000
_PAGE = 4096


@dataclass(frozen=True, slots=True)
class Generation:
    """One state of the corpus in the order of its changes; 0 is what was fitted."""

    number: int
    time: str
    """UTC, ISO 8601."""

    action: str
    """`fit`, `add`, `update`, `put`, `delete`, `rollback`, or what else replaced the system."""

    added: int
    removed: int
    updated: int
    documents: int
    """How many there are in this generation."""

    restores: int | None = None
    """The generation that a rollback brought back."""


@dataclass(frozen=True, eq=False)
class Kept:
    """A document with all that is its own."""

    place: int
    document: Document
    keys: tuple[Key, ...] = ()
    """Its docids; () in a system without any."""

    texts: dict[str, str] = field(default_factory=dict)
    """What is indexed behind its own words, by index."""

    learnt: State = field(default_factory=dict)
    """Arrays learnt for it alone, such as the output row of its token."""


@dataclass(frozen=True, eq=False)
class Step:
    """One generation and how it differs from the one before."""

    generation: Generation
    put: tuple[Kept, ...] = ()
    gone: tuple[Kept, ...] = ()
    level_sizes: tuple[int, ...] = ()
    """Of the docid table after the step; () in a system without one."""

    state: State = field(default_factory=dict)
    """Arrays of the docid scheme that the step replaced."""


@dataclass(frozen=True, eq=False)
class Net:
    """What all steps since a base come to."""

    generation: int = 0
    gone: frozenset[int] = frozenset()
    """Places of documents of the base that are not there now."""

    joined: dict[int, Kept] = field(default_factory=dict)
    """Documents that are not in the base, by place."""

    level_sizes: tuple[int, ...] = ()
    """() where no step said: those of the base."""

    state: State = field(default_factory=dict)

    def after(self, steps: Iterable[Step]) -> Net:
        """The same with more steps behind it."""
        now = self
        gone, joined, state = set(self.gone), dict(self.joined), dict(self.state)
        for step in steps:
            _swap(gone, joined, out=step.gone, back=step.put)
            state |= step.state
            now = replace(now, generation=step.generation.number, level_sizes=step.level_sizes)
        return replace(now, gone=frozenset(gone), joined=joined, state=state)

    def before(self, steps: Iterable[Step], *, level_sizes: tuple[int, ...]) -> Net:
        """The same without the last steps, which are given newest first; the scheme's state stays, so that
        no free number is handed out twice."""
        gone, joined = set(self.gone), dict(self.joined)
        for step in steps:
            _swap(gone, joined, out=step.put, back=step.gone)
        return replace(self, gone=frozenset(gone), joined=joined, level_sizes=level_sizes)


def _swap(gone: set[int], joined: dict[int, Kept], *, out: Iterable[Kept], back: Iterable[Kept]) -> None:
    for kept in out:
        if joined.pop(kept.place, None) is None:
            gone.add(kept.place)
    for kept in back:
        if kept.place in gone:
            gone.remove(kept.place)
        else:
            joined[kept.place] = kept


class ChangeLog:
    """An open log. Readers see whole generations only, whatever a writer does meanwhile."""

    def __init__(self, path: Path, connection: apsw.Connection) -> None:
        self.path, self._connection = path, connection

    @classmethod
    def create(cls, path: str | Path, first: Step) -> ChangeLog:
        """Begin a log with generation 0; the file appears whole or not at all.

        Raises:
            StorageError: the disk refused.
        """
        path = Path(path)
        partial = path.with_name(path.name + ".partial")
        partial.unlink(missing_ok=True)
        try:
            with storage_errors(path), _writing(path):
                connection = connect(partial, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
                try:
                    connection.reserve_bytes(reserve=CHECKSUM_BYTES)
                    connection.execute(f"PRAGMA page_size = {_PAGE}")
                    connection.execute(_SCHEMA)
                    connection.execute("VACUUM")  # writes the first pages again, now with checksums
                    cls(partial, connection)._insert(first)
                finally:
                    connection.close()
                fsync(partial)
                partial.replace(path)
                fsync(path.parent)
        finally:
            partial.unlink(missing_ok=True)
        return cls.open(path, write=True)

    @classmethod
    def open(cls, path: str | Path, *, write: bool = False) -> ChangeLog:
        """Open a log; a transaction that a crash left half done is rolled back.

        Raises:
            ArtifactError: missing, damaged, or no log.
        """
        path = Path(path)
        if not path.is_file():
            raise ArtifactError(f"{path}: no such file")
        with _reading(path):
            connection = _connected(path, write)
            connection.set_busy_timeout(_BUSY_MS)
            if connection.reserve_bytes() != CHECKSUM_BYTES:
                raise ArtifactError(f"{path}: has no checksums, so it is damaged or foreign")
            refuse_code(connection, path)
            if write:
                # fetched, as a statement that nobody reads to its end holds back the next
                connection.execute("PRAGMA journal_mode = DELETE; PRAGMA synchronous = EXTRA").fetchall()
            connection.execute("SELECT max(number) FROM generations").fetchall()
        return cls(path, connection)

    def append(self, step: Step) -> None:
        """Write one generation; it is on the disk when this returns.

        Raises:
            StorageError: the disk refused; the log ends where it ended.
            InputError: a document that cannot be stored.
        """
        number = step.generation.number
        try:
            with _writing(self.path):
                self._insert(step)
        except StorageError:
            # refused after the commit itself, while the folder was synced: it is there, so it counts
            if number not in {found.number for found in self.generations()[-1:]}:
                raise

    def _insert(self, step: Step) -> None:
        g = step.generation
        head = (g.number, g.time, g.action, g.added, g.removed, g.updated, g.documents, g.restores)
        state = _packed(step.state)
        changes = [(g.number, kind, *_row(kept)) for kind, some in _kinds(step) for kept in some]
        with self._connection:
            marks = ", ".join("?" * 10)
            self._connection.execute(
                f"INSERT INTO generations VALUES ({marks})", (*head, json.dumps(step.level_sizes), state)
            )
            self._connection.executemany(f"INSERT INTO changes VALUES (NULL, {marks})", changes)

    def generations(self) -> list[Generation]:
        """Every generation, oldest first."""
        with _reading(self.path):
            return [
                Generation(*row)
                for row in self._connection.execute(f"SELECT {_GENERATION} FROM generations ORDER BY number")
            ]

    def steps(self, after: int = -1) -> list[Step]:
        """Every generation behind `after` with its changes, oldest first.

        Raises:
            ArtifactError: a page is damaged.
        """
        found = []
        with _reading(self.path), self._connection:
            changes: dict[int, dict[str, list[Kept]]] = {}
            for number, kind, *row in self._connection.execute(
                "SELECT generation, kind, place, id, title, text, metadata, keys, texts, learnt FROM changes "
                "WHERE generation > ? ORDER BY number",
                (after,),
            ):
                changes.setdefault(number, {_PUT: [], _GONE: []})[kind].append(_kept(row))
            for *head, sizes, state in self._connection.execute(
                f"SELECT {_GENERATION}, level_sizes, state FROM generations WHERE number > ? ORDER BY number",
                (after,),
            ):
                own = changes.get(head[0], {_PUT: [], _GONE: []})
                put, gone = tuple(own[_PUT]), tuple(own[_GONE])
                found.append(Step(Generation(*head), put, gone, tuple(from_json(sizes)), _unpacked(state)))
        return found

    def put_rows(self, places: set[int]) -> dict[int, Kept]:
        """Those of the places that the log ever put, as it did last."""
        found = {}
        with _reading(self.path):
            for row in self._connection.execute(
                "SELECT place, id, title, text, metadata, keys, texts, learnt FROM changes "
                "WHERE kind = ? ORDER BY number",
                (_PUT,),
            ):
                if row[0] in places:
                    found[row[0]] = _kept(row)
        return found

    def last_place(self) -> int:
        """The highest place that was ever given, -1 where the log gave none."""
        with _reading(self.path):
            (found,) = self._connection.execute("SELECT max(place) FROM changes").fetchall()[0]
        return -1 if found is None else int(found)

    def copy(self, path: Path) -> None:
        """A byte for byte copy, on the disk when this returns. Nobody may write meanwhile."""
        with storage_errors(path):
            with path.open("wb") as stream:
                stream.write(self.path.read_bytes())
            fsync(path)

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def __enter__(self) -> ChangeLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def unsound_pages(path: Path) -> str:
    """What is wrong with a database whose pages carry checksums, read as bytes; "" where every one fits.

    The sum is that of SQLite's checksum VFS: two 32-bit sums over pairs of words, each adding the other.
    """
    content = path.read_bytes()
    if len(content) < _PAGE or content[:16] != b"SQLite format 3\0" or content[20] != CHECKSUM_BYTES:
        return "is no database with checksums"
    size = int.from_bytes(content[16:18], "big") or 1
    if size != _PAGE or len(content) != _PAGE * int.from_bytes(content[28:32], "big"):
        return f"{len(content)} bytes are not the pages it says it has"
    words = np.frombuffer(content, "<u4").reshape(-1, _PAGE // 4)
    one = np.zeros(len(words), np.uint32)
    two = one.copy()
    for at in range(0, words.shape[1] - 2, 2):
        one = one + words[:, at] + two
        two = two + words[:, at + 1] + one
    bad = np.flatnonzero((one != words[:, -2]) | (two != words[:, -1]))
    return f"page {bad[0] + 1} does not match its checksum" if len(bad) else ""


def _connected(path: Path, write: bool) -> apsw.Connection:
    journal = path.with_name(f"{path.name}-journal")
    if write or not journal.exists():
        return connect(path, apsw.SQLITE_OPEN_READWRITE if write else apsw.SQLITE_OPEN_READONLY)
    # who only reads must still be able to undo what a crash left half done, in a copy where need be
    if os.access(path.parent, os.W_OK):
        return connect(path, apsw.SQLITE_OPEN_READWRITE)
    with tempfile.TemporaryDirectory() as name:
        for file in (path, journal):
            shutil.copy(file, name)
        copy = connect(Path(name) / path.name, apsw.SQLITE_OPEN_READWRITE)
        copy.execute("SELECT max(number) FROM generations").fetchall()
        return copy  # open, so that it outlives its folder


def _kinds(step: Step) -> tuple[tuple[str, tuple[Kept, ...]], ...]:
    return ((_GONE, step.gone), (_PUT, step.put))


def _row(kept: Kept) -> tuple[Any, ...]:
    own = (json.dumps(kept.keys), json.dumps(kept.texts), _packed(kept.learnt))
    return (kept.place, *document_row(kept.document), *own)


def _kept(row: Any) -> Kept:
    place, id, title, text, metadata, keys, texts, learnt = row
    about = from_json(metadata)
    if not (all(isinstance(part, str) for part in (id, text, title)) and isinstance(about, dict)):
        raise ValueError("a document that is none")
    document = Document(id, text, title, about)
    return Kept(place, document, tuple(map(tuple, from_json(keys))), from_json(texts), _unpacked(learnt))


def _packed(arrays: State) -> bytes | None:
    from safetensors.numpy import save

    return save({name: np.asarray(a, order="C") for name, a in arrays.items()}) if arrays else None


def _unpacked(content: bytes | None) -> State:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return dict(load(content)) if content else {}
    except SafetensorError as error:
        raise ValueError(f"arrays that are none: {error}") from None


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (apsw.Error, ValueError, TypeError, KeyError) as error:
        raise ArtifactError(f"{path}: is damaged or no change log ({error})") from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise StorageError(
            f"{path}: cannot be written ({error}); free space, what was stored before is unchanged"
        ) from error
