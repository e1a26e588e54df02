"""Let the disk run full at any moment of a change: it is refused in one line, and the old state is intact.

    python -m reliability.full_disk --tries 30

Fitting, saving, adding, changing, deleting, going back and renewing each run with so little room that they
fail somewhere: either no file may grow beyond a size drawn at random, or, where this user may mount one, they
run on a small disk of their own that a ballast leaves a random rest of. Afterwards the folder must open, be
sound and answer as before, and the same step must work once there is room again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reliability.small_served import changed_systems, small_data, small_recipes
from reliability.victims import place_of, start
from retrograd.errors import StorageError
from retrograd.live_folder import check_system
from retrograd.system import System
from retrograd.training.fit import fit
from retrograd.types import Document
from retrograd.updates.live import LiveSystem

SECONDS = 300.0
QUESTIONS = ["depth of an image", "translate a text", "a forecast of rain"]
DISK = 24 << 20
"""Bytes of a disk of its own."""

RESULT = "result.json"
NEW = Document("new", "wind and snow " * 4000, "weather")


def _live(act: Callable[[LiveSystem], Any]) -> Callable[[Path], None]:
    def step(folder: Path) -> None:
        with LiveSystem.open(folder) as live:
            act(live)

    return step


def _fit(folder: Path) -> None:
    name = System.load(folder).recipe.name
    (recipe,) = (one for one in small_recipes().values() if one.name == name)
    fit(recipe, small_data(50), folder)


STEPS: dict[str, Callable[[Path], None]] = {
    "add": _live(lambda live: live.add([NEW])),
    "update": _live(lambda live: live.update([Document(live.system.corpus.ids[5], NEW.text)])),
    "delete": _live(lambda live: live.delete(live.system.corpus.ids[5:30])),
    "rollback": _live(lambda live: live.rollback(0)),
    "compact": _live(lambda live: live.compact()),
    "save": lambda folder: System.load(folder).save(folder),
    "fit": _fit,
}


@dataclass(frozen=True)
class FullReport:
    """What a full disk did."""

    refused: Counter[str]
    """Per step, how often it failed for want of room."""

    done: Counter[str]
    """Per step, how often the room was enough after all."""

    own_disk: bool
    """Whether a disk of its own was among the ways."""

    faults: tuple[str, ...]
    """One line each; empty is what is promised."""


def full_disk(
    folders: Sequence[Path], tries: int, *, steps: Sequence[str] = tuple(STEPS), seed: int = 0
) -> FullReport:
    """Try each step on a copy of each system, `tries` times with another amount of room."""
    draw = np.random.default_rng([seed, tries])
    refused: Counter[str] = Counter()
    done: Counter[str] = Counter()
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as name, _own_disk(Path(name) / "disk") as disk:
        for number in range(tries):
            for step in steps:
                sound = folders[number % len(folders)]
                on_disk = disk is not None and number % 2 == 1
                room = int(10 ** draw.uniform(1.0, 5.5))
                place = disk if on_disk and disk is not None else Path(name) / "try"
                ended, said = _tried(sound, step, room, place, on_disk=on_disk)
                (done if ended == "done" else refused)[step] += 1
                way = "left on the disk" if on_disk else "per file"
                faults += [f"{sound.name}, {step}, {room} bytes {way}: {line}" for line in said]
        return FullReport(refused, done, disk is not None, tuple(faults))


def _tried(sound: Path, step: str, room: int, place: Path, *, on_disk: bool) -> tuple[str, list[str]]:
    place.mkdir(exist_ok=True)
    folder = Path(shutil.copytree(sound, place / "system"))
    result = place.with_name(RESULT)
    result.unlink(missing_ok=True)
    child = start(attempt, str(folder), step, room, on_disk, str(result))
    child.join(SECONDS)
    if child.exitcode is None:
        child.kill()
        child.join()
    ended, faults = "died", [f"the child died or hung ({child.exitcode})"]
    if result.exists():
        report = json.loads(result.read_text())
        ended, faults = report["ended"], report["faults"]
    for path in place.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return ended, faults


def attempt(folder: str, step: str, room: int, on_disk: bool, result: str) -> None:
    """In a child: take a step without room, look at what is left, and take it again with room."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what is said while nothing may be written is lost
    path, faults, ended = Path(folder), [], "refused"
    before = _state(path)
    with _squeezed(path.parent / "ballast", room) if on_disk else _limited(room):
        try:
            STEPS[step](path)
            ended = "done"
        except StorageError as error:
            if len(str(error).splitlines()) != 1:
                faults.append(f"an error of several lines: {str(error)[:200]!r}")
        except BaseException as error:
            faults.append(
                f"{type(error).__name__} instead of a refusal: {str(error)[:300]} {place_of(error)}"
            )
    try:
        if ended == "refused":
            faults += [f"check: {line}" for line in check_system(path)]
            if _state(path) != before:
                faults.append("another state than before")
            STEPS[step](path)
        faults += [f"check at the end: {line}" for line in check_system(path)]
        System.load(path).search(QUESTIONS, k=5)
    except BaseException as error:
        faults.append(f"with room again: {type(error).__name__}: {str(error)[:300]}")
    Path(result).write_text(json.dumps({"ended": ended, "faults": faults}))


def _state(folder: Path) -> Any:
    system = System.load(folder)
    return system.generation, system.corpus.ids, system.search(QUESTIONS, k=10)


@contextmanager
def _limited(room: int) -> Iterator[None]:
    """No file may grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def _squeezed(ballast: Path, room: int) -> Iterator[None]:
    """A file beside the system takes all of its disk but so many bytes."""
    about = os.statvfs(ballast.parent)
    with ballast.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, max(1, about.f_bavail * about.f_frsize - room))
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def _own_disk(place: Path) -> Iterator[Path | None]:
    """A small disk in memory, or None where this user may not mount one."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)]
    mounted = False
    with suppress(OSError):
        mounted = not subprocess.run(command, capture_output=True, check=False).returncode
    try:
        yield place if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", str(place)], check=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--tries", type=int, default=30, help="of each step")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        report = full_disk(changed_systems(Path(name)), arguments.tries, seed=arguments.seed)
    for step in STEPS:
        print(f"{step}: refused {report.refused[step]} times, done {report.done[step]} times")
    print("with a disk of its own" if report.own_disk else "only with limits per file: no right to mount")
    raise SystemExit("\n".join(report.faults) or 0)


if __name__ == "__main__":
    main()
