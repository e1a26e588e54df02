"""Vectors of the documents that joined a saved system, one row each: derived, and made again where lost.

Knows places and vectors. Nothing waits for the disk here: what a crash tears, checksums find.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import apsw
import numpy as np

from retrograd.document_store import CHECKSUM_BYTES, connect, refuse_code
from retrograd.errors import ArtifactError

_BUSY_MS = 5_000
_CREATE = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE


def read_vectors(path: Path, places: Iterable[int], dimensions: int) -> dict[int, np.ndarray]:
    """Place -> (dimensions,) float32, of those that are stored.

    Raises:
        ArtifactError: the file is damaged or of another kind.
    """
    found: dict[int, np.ndarray] = {}
    try:
        torn = path.with_name(f"{path.name}-journal").exists()
        connection = connect(path, apsw.SQLITE_OPEN_READWRITE if torn else apsw.SQLITE_OPEN_READONLY)
        try:
            connection.set_busy_timeout(_BUSY_MS)
            if connection.reserve_bytes() != CHECKSUM_BYTES:
                raise ArtifactError(f"{path}: has no checksums, so it is damaged or foreign")
            refuse_code(connection, path)
            for place in places:
                for (blob,) in connection.execute("SELECT vector FROM vectors WHERE place = ?", (place,)):
                    if isinstance(blob, bytes) and len(blob) == 4 * dimensions:
                        found[place] = np.frombuffer(blob, "<f4").astype(np.float32)
        finally:
            connection.close()
    except (apsw.Error, TypeError) as error:
        raise ArtifactError(f"{path}: is damaged or no table of vectors ({error})") from error
    return found


def write_vectors(path: Path, vectors: Mapping[int, np.ndarray]) -> None:
    """Add rows, making the file where it is missing.

    Raises:
        apsw.Error: the disk refused, or the file is damaged.
    """
    fresh = not path.exists()
    connection = connect(path, _CREATE)
    try:
        connection.set_busy_timeout(_BUSY_MS)
        connection.execute("PRAGMA synchronous = OFF")
        if fresh:
            connection.reserve_bytes(reserve=CHECKSUM_BYTES)
            connection.execute("PRAGMA page_size = 4096")
            connection.execute("CREATE TABLE vectors (place INTEGER PRIMARY KEY, vector BLOB)")
            connection.execute("VACUUM")  # writes the first pages again, now with checksums
        rows = ((place, np.asarray(vector, "<f4").tobytes()) for place, vector in vectors.items())
        with connection:
            connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
    finally:
        connection.close()
