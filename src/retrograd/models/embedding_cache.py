"""Vectors on disk, so that no text is encoded twice by the same encoder on this machine.

Knows keys and vectors; whatever goes wrong with the file costs time, never a result: a damaged
cache is dropped with a warning, an unwritable one is left out with a warning.
Shapes: n texts, d dimensions.
"""

from __future__ import annotations

import hashlib
import os
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import apsw
import numpy as np

from retrograd.progress import track
from retrograd.types import TextEncoder

CHUNK = 256
"""Texts encoded, then committed together: what an interrupted run loses at most."""

BUSY_MS = 60_000
# No fsync: after a power cut the checksums find what is damaged, and a cache may be dropped.
SETTINGS = """
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB, crc32 INTEGER)
"""
DAMAGE = (apsw.CorruptError, apsw.NotADBError, apsw.SQLError, apsw.SchemaChangeError)
REFUSAL = (apsw.CantOpenError, apsw.ReadOnlyError, apsw.FullError, apsw.IOError, apsw.BusyError, OSError)

_T = TypeVar("_T")


def cached(encoder: TextEncoder, folder: Path | None = None) -> TextEncoder:
    """The same encoder, looking each text up before it encodes it.

    Args:
        encoder: returned as it is when it is cached already or says `cacheable = False`.
        folder: where the cache lies; RETROGRAD_CACHE or ~/.cache/retrograd when not given.
            RETROGRAD_CACHE=off leaves the encoder without a cache (a clock must time encoding).
    """
    if folder is None and os.environ.get("RETROGRAD_CACHE") == "off":
        return encoder
    if isinstance(encoder, CachedEncoder) or not getattr(encoder, "cacheable", True):
        return encoder
    return CachedEncoder(encoder, EmbeddingCache((folder or cache_folder()) / "embeddings.sqlite"))


def cache_folder() -> Path:
    """RETROGRAD_CACHE, or ~/.cache/retrograd."""
    return Path(os.environ.get("RETROGRAD_CACHE") or Path.home() / ".cache" / "retrograd")


class CachedEncoder:
    """A text encoder with a memory on disk. Implements `types.TextEncoder`.

    Texts are cut into chunks before the cache is asked, so an interrupted and resumed run forms the
    same batches as an uninterrupted one and gets the same bytes. A single text is encoded afresh: a
    served query neither waits for the disk nor stays on it, and its measured latency is the real one.
    """

    def __init__(self, encoder: TextEncoder, cache: EmbeddingCache) -> None:
        self.encoder, self.cache = encoder, cache

    @property
    def dimensions(self) -> int:
        """Length d of a vector."""
        return self.encoder.dimensions

    @property
    def fingerprint(self) -> str:
        """That of the encoder: the cache changes no vector."""
        return self.encoder.fingerprint

    def encode_query(self, texts: Sequence[str]) -> np.ndarray:
        """(n, d) float32, unit rows."""
        return self._encode(texts, "query", self.encoder.encode_query)

    def encode_document(self, texts: Sequence[str]) -> np.ndarray:
        """(n, d) float32, unit rows."""
        return self._encode(texts, "document", self.encoder.encode_document)

    def _encode(
        self, texts: Sequence[str], role: str, encode: Callable[[Sequence[str]], np.ndarray]
    ) -> np.ndarray:
        if len(texts) == 1:
            return encode(texts)
        role = "text" if getattr(self.encoder, "symmetric", False) else role
        scope = f"{self.encoder.fingerprint}\n{role}\n".encode()
        unique = sorted(dict.fromkeys(texts), key=len, reverse=True)  # like lengths together: less padding
        row_of = {text: row for row, text in enumerate(unique)}
        vectors = np.zeros((len(unique), self.dimensions), np.float32)
        chunks = range(0, len(unique), CHUNK)
        for start in track(chunks, "text vectors") if len(chunks) > 1 else chunks:
            vectors[start : start + CHUNK] = self._chunk(unique[start : start + CHUNK], scope, encode)
        return vectors[[row_of[text] for text in texts]]

    def _chunk(
        self, texts: list[str], scope: bytes, encode: Callable[[Sequence[str]], np.ndarray]
    ) -> np.ndarray:
        keys = [hashlib.sha256(scope + text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        found = self.cache.get(keys, self.dimensions)
        missing = [row for row, key in enumerate(keys) if key not in found]
        if missing:
            new = encode([texts[row] for row in missing])
            found |= {keys[row]: vector for row, vector in zip(missing, new, strict=True)}
            self.cache.put({keys[row]: found[keys[row]] for row in missing})
        return np.stack([found[key] for key in keys])


class EmbeddingCache:
    """A SQLite file of key -> float32 vector. Several processes may use one file.

    Every call opens the file anew: it survives forks, threads and its own removal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, keys: Sequence[bytes], dimensions: int) -> dict[bytes, np.ndarray]:
        """The vectors (d,) of those keys that are stored."""

        def read(connection: apsw.Connection) -> dict[bytes, np.ndarray]:
            found = {}
            for key in keys:
                row = connection.execute("SELECT vector, crc32 FROM vectors WHERE key = ?", (key,)).fetchone()
                if row is not None:
                    found[key] = _verified(row[0], row[1], dimensions)
            return found

        return self._with_file(read, {})

    def put(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Store all or, where the disk refuses, none."""
        blobs = {key: np.asarray(vector, "<f4").tobytes() for key, vector in vectors.items()}
        rows = [(key, blob, zlib.crc32(blob)) for key, blob in blobs.items()]

        def write(connection: apsw.Connection) -> None:
            with connection:
                connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)

        self._with_file(write, None)

    def _with_file(self, use: Callable[[apsw.Connection], _T], otherwise: _T) -> _T:
        for _ in range(2):
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                connection = apsw.Connection(str(self.path))
                try:
                    connection.set_busy_timeout(BUSY_MS)
                    connection.execute(SETTINGS)
                    return use(connection)
                finally:
                    connection.close()
            except DAMAGE as error:
                warnings.warn(
                    f"{self.path}: embedding cache is damaged ({error}); starting a new one", stacklevel=2
                )
                self._drop()
            except REFUSAL as error:
                warnings.warn(
                    f"{self.path}: embedding cache is not usable ({error}); going on without", stacklevel=2
                )
                return otherwise
        return otherwise

    def _drop(self) -> None:
        for suffix in ("-journal", "-wal", "-shm", ""):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)


def _verified(blob: Any, checksum: Any, dimensions: int) -> np.ndarray:
    if not isinstance(blob, bytes) or len(blob) != 4 * dimensions or zlib.crc32(blob) != checksum:
        raise apsw.CorruptError("a vector does not match its checksum")
    return np.frombuffer(blob, "<f4").astype(np.float32)
