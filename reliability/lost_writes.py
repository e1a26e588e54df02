"""Lose what was never fsynced, at every point of a change, and see that the old or the new state opens.

    python -m reliability.lost_writes --tries 20

Every write, sync, truncation and deletion of the change log is recorded while a generation is appended. The
disk after a power cut is then any prefix of that sequence in which synced writes are there and others are
there or not. Publishing a folder is followed in the same way through its renames.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import numpy as np

from retrograd import change_log
from retrograd.change_log import ChangeLog, Generation, Kept, Step, unsound_pages
from retrograd.errors import ArtifactError
from retrograd.types import Document

Operation = tuple[str, str, int, bytes]
"""What, on which file, at which offset or size, with which bytes."""

_RECORDER = "recorder"


@dataclass
class Disk:
    """Files as a power cut may leave them."""

    durable: dict[str, bytes]
    pending: list[Operation] = field(default_factory=list)

    def apply(self, operation: Operation) -> None:
        """One more operation of the program."""
        what, name, _, _ = operation
        if what == "sync":
            for waiting in [one for one in self.pending if one[1] == name]:
                self._write(self.durable, waiting)
            self.pending = [one for one in self.pending if one[1] != name]
        elif what == "delete":  # SQLite syncs the folder before it goes on
            self.durable.pop(name, None)
            self.pending = [one for one in self.pending if one[1] != name]
        else:
            self.pending.append(operation)

    def after_a_cut(self, kept: np.ndarray) -> dict[str, bytes]:
        """The files where only some of the unsynced operations reached the disk."""
        files = dict(self.durable)
        for operation, there in zip(self.pending, kept, strict=True):
            if there:
                self._write(files, operation)
        return files

    @staticmethod
    def _write(files: dict[str, bytes], operation: Operation) -> None:
        what, name, at, content = operation
        before = files.get(name, b"")
        if what == "truncate":
            files[name] = before[:at]
        else:
            files[name] = before[:at].ljust(at, b"\0") + content + before[at + len(content) :]


class _File(apsw.VFSFile):  # type: ignore[misc]
    def __init__(self, name: Any, flags: list[int], told: list[Operation]) -> None:
        super().__init__("cksmvfs", name, flags)
        path = name if isinstance(name, str) else name.filename()
        self._name, self._told = Path(path).name, told

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 (SQLite's names)
        super().xWrite(data, offset)
        self._told.append(("write", self._name, offset, bytes(self.xRead(len(data), offset))))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        super().xTruncate(size)
        self._told.append(("truncate", self._name, size, b""))

    def xSync(self, flags: int) -> None:  # noqa: N802
        super().xSync(flags)
        self._told.append(("sync", self._name, 0, b""))


class _Recorder(apsw.VFS):  # type: ignore[misc]
    def __init__(self, told: list[Operation]) -> None:
        super().__init__(_RECORDER, "cksmvfs")
        self._told = told

    def xOpen(self, name: Any, flags: list[int]) -> _File:  # noqa: N802
        return _File(name, flags, self._told)

    def xDelete(self, name: str, sync_folder: bool) -> None:  # noqa: N802
        super().xDelete(name, sync_folder)
        assert sync_folder, "without it a deleted journal may come back"
        self._told.append(("delete", Path(name).name, 0, b""))


@contextmanager
def recorded() -> Iterator[list[Operation]]:
    """Everything the change log does to its files inside."""
    told: list[Operation] = []
    recorder, before = _Recorder(told), change_log.connect
    change_log.connect = lambda path, flags: apsw.Connection(str(path), flags=flags, vfs=_RECORDER)
    try:
        yield told
    finally:
        change_log.connect = before
        recorder.unregister()


def step(number: int, words: int) -> Step:
    """A generation with one document."""
    document = Document(f"d{number}", "words " * words)
    return Step(Generation(number, "", "add", 1, 0, 0, number), (Kept(number, document),))


def lose_writes(tries: int, *, seed: int = 0) -> tuple[int, list[str]]:
    """Cut the power at every operation of one append, `tries` times each.

    Returns: how many cuts, and one line per cut after which neither the old nor the new log opened.
    """
    draw, cuts, faults = np.random.default_rng(seed), 0, []
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "changes.sqlite"
        with ChangeLog.create(path, step(0, 1)) as log:
            log.append(step(1, 5000))
        disk = Disk({path.name: path.read_bytes()})
        with recorded() as told, ChangeLog.open(path, write=True) as log:
            log.append(step(2, 9000))
        for at in range(len(told) + 1):
            for attempt in range(tries):
                share = (0.0, 1.0)[attempt] if attempt < 2 else draw.random()
                files = disk.after_a_cut(draw.random(len(disk.pending)) < share)
                allowed = ((0, 1, 2),) if at == len(told) else ((0, 1), (0, 1, 2))
                cuts += 1
                if said := _fault(files, allowed):
                    faults.append(f"after operation {at} of {len(told)}: {said}")
            if at < len(told):
                disk.apply(told[at])
    return cuts, faults


def _fault(files: dict[str, bytes], allowed: tuple[tuple[int, ...], ...]) -> str:
    with tempfile.TemporaryDirectory() as name:
        for file, content in files.items():
            (Path(name) / file).write_bytes(content)
        path = Path(name) / "changes.sqlite"
        try:
            with ChangeLog.open(path, write=True) as log:
                found = tuple(one.generation.number for one in log.steps())
        except ArtifactError as error:
            return str(error)
        return unsound_pages(path) if found in allowed else f"generations {found}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    cuts, faults = lose_writes(arguments.tries, seed=arguments.seed)
    print(f"{cuts} power cuts, {len(faults)} faults")
    raise SystemExit("\n".join(faults) or 0)


if __name__ == "__main__":
    main()
