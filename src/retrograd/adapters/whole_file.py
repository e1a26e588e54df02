"""Large files that appear at once: written piece by piece under another name, then renamed.

Knows paths only; small files are `artifacts.write_bytes_atomic`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retrograd.artifacts import fsync, storage_errors


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A name to write to that becomes `path` when all went well: nobody ever sees half a file.

    Raises:
        StorageError: the disk refused; an older file is intact.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            fsync(partial)
            partial.replace(path)
            fsync(path.parent)
    finally:
        partial.unlink(missing_ok=True)
