"""The part of a saved folder that changes: what may lie in it, who may write, and whether it is sound.

Knows file names, a lock and checksums. The manifest seals all else; what lies in here vouches for itself.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from retrograd.artifacts import LIVE, MANIFEST, check_folder, read_manifest, storage_errors
from retrograd.change_log import ChangeLog, unsound_pages
from retrograd.errors import ArtifactError, InputError

CHANGES = "changes.sqlite"
"""The truth about all changes."""

VECTORS = "vectors.sqlite"
"""Derived: one vector per document that joined."""

LOCK = "lock"

_JOURNALS = (f"{CHANGES}-journal", f"{VECTORS}-journal", f"{CHANGES}.partial", f"{CHANGES}.partial-journal")
"""What an interrupted writer may leave; the next one undoes or replaces it."""


def changes_of(folder: Path) -> Path:
    """Where a system's change log lies, if it has one."""
    return folder / LIVE / CHANGES


def vectors_of(folder: Path) -> Path:
    """Where the vectors of documents that joined lie."""
    return folder / LIVE / VECTORS


class WriterLock:
    """The right to change a folder, held until `release` or the end of the process."""

    def __init__(self, folder: Path) -> None:
        """Take it.

        Raises:
            InputError: another process, or another part of this one, holds it.
            ArtifactError: what lies there is not ours.
            StorageError: the folder cannot be written to.
        """
        refuse_strange(folder)
        path = folder / LIVE / LOCK
        with storage_errors(path):
            path.parent.mkdir(exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise InputError(
                f"is being changed by another process (pid {holder}); wait for it, or send it the change",
                path=folder,
            ) from None
        with suppress(OSError):  # a full disk: the lock holds all the same, only its holder has no name
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Give it back; a second call does nothing."""
        if self._descriptor >= 0:
            with suppress(OSError):
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else changes the folder meanwhile; nothing is asked where there is none.

    Raises:
        InputError: somebody does, and would go on in a folder that is replaced.
    """
    if not (folder / MANIFEST).is_file():
        yield
        return
    lock = WriterLock(folder)
    try:
        yield
    finally:
        lock.release()


def refuse_strange(folder: Path) -> None:
    """Let nothing be read or written through a link, a pipe or a folder where a file of ours belongs.

    Raises:
        ArtifactError: there is one, named.
    """
    for line in _strange(folder / LIVE):
        raise ArtifactError(f"{folder / line.partition(':')[0]}:{line.partition(':')[2]}")


def _strange(live: Path) -> list[str]:
    """One line for whatever is neither our folder nor a plain file in it."""
    if live.is_symlink() or (live.exists() and not live.is_dir()):
        return [f"{LIVE}: refused (no folder)"]
    found = sorted(live.iterdir()) if live.exists() else []
    return [f"{LIVE}/{path.name}: refused (no plain file)" for path in found if not _is_plain(path)]


def _is_plain(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:  # the journal of a writer who was done with it meanwhile
        return True


def check_system(folder: str | Path) -> list[str]:
    """As `artifacts.check_folder`, over the changes too; nothing is repaired or undone.

    Returns: one line per damaged, missing or foreign file, beginning with its name in the folder.
    """
    folder = Path(folder)
    return sorted([*check_folder(folder), *_check_live(folder)])


def _check_live(folder: Path) -> list[str]:
    live = folder / LIVE
    problems = _strange(live)
    if live.is_symlink() or (live.exists() and not live.is_dir()):
        return problems
    refused = {line.partition(":")[0] for line in problems}
    found = {path.name: path for path in sorted(live.iterdir())} if live.exists() else {}
    for name, path in found.items():
        if f"{LIVE}/{name}" in refused:
            continue
        if name in (CHANGES, VECTORS):
            problems += [f"{LIVE}/{name}: damaged ({reason})" for reason in _unsound(path)]
        elif name != LOCK and name not in _JOURNALS:
            problems.append(f"{LIVE}/{name}: foreign")
    if CHANGES not in found and (VECTORS in found or _is_later_base(folder)):
        problems.append(f"{LIVE}/{CHANGES}: missing")
    return problems


def _is_later_base(folder: Path) -> bool:
    try:
        return bool(read_manifest(folder).get("generation", 0))
    except ArtifactError:
        return False  # the manifest is named already


def _unsound(path: Path) -> list[str]:
    """[] or one reason. What a crash left half done is undone in a copy, as the next reader will do."""
    journal = path.with_name(f"{path.name}-journal")
    if journal.exists() and not journal.is_file():
        return ["cannot be told while its journal is no plain file"]
    with tempfile.TemporaryDirectory() as name:
        if journal.exists():
            for file in (path, journal):
                if file.exists():
                    shutil.copy(file, name)
            path = Path(name) / path.name
        try:
            if path.name == CHANGES:
                with ChangeLog.open(path, write=journal.exists()) as log:
                    log.steps()
            reason = unsound_pages(path)
        except (ArtifactError, OSError) as error:
            reason = str(error).removeprefix(f"{path}: ")
    return [reason] if reason else []
