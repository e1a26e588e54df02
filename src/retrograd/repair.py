"""What can be made again is made again: indexes and vectors of a saved folder that are damaged or gone.

Knows which files are derived and how they come back into place; the truth (documents, docids, weights, the
change log) is never touched, and a folder in which any of it is damaged is refused.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import numpy as np

from retrograd import artifacts
from retrograd.change_log import ChangeLog, Net, Step, unsound_pages
from retrograd.errors import ArtifactError, InputError, StorageError
from retrograd.live_folder import WriterLock, changes_of, vectors_of
from retrograd.search.lexical import FOLDER
from retrograd.search.nearest import VECTORS
from retrograd.search.parts import Parts
from retrograd.vector_store import read_vectors, write_vectors

ARRAYS = "derived.safetensors"
"""Vectors and indexes in one file."""

_TOLD = 10
"""Problems that an error lists; `retrograd check` lists all."""

_log = logging.getLogger(__name__)


def lost(folder: Path) -> frozenset[str]:
    """Names in the folder of what is derived and not as the manifest has it.

    Raises:
        ArtifactError: names every file of the truth that is damaged or missing, and every foreign one.
    """
    problems = artifacts.check_folder(folder)
    derived = {line: name for line in problems if (name := _derived(line))}
    if len(derived) < len(problems):
        told = [line for line in problems if line not in derived]
        more = [f"and {len(told) - _TOLD} more"] if len(told) > _TOLD else []
        raise ArtifactError(f"{folder}: {'; '.join([*told[:_TOLD], *more])}")
    return frozenset(derived.values())


def _derived(problem: str) -> str:
    name, slash, _ = problem.partition(":")[0].partition("/")
    return name if name == ARRAYS or (slash and name.startswith(FOLDER)) else ""


def repair(parts: Parts, search: Any, names: frozenset[str], *, held: bool = False) -> bool:
    """Make lost files again, in the folder where that can be written and is nobody else's, else beside it.

    Args:
        parts: of the folder, without the arrays that are lost; they are there afterwards.
        search: the recipe's search config, which knows how its files come about.
        held: whether the caller has the writer's lock.

    Returns: whether the folder was written to, manifest included.
    """
    if not names:
        return False
    said = ", ".join(sorted(names))
    beside = Path(tempfile.mkdtemp(prefix="retrograd-"))
    search.build(replace(parts, folder=beside, opened={}, spare=None))
    try:
        lock = None if held else WriterLock(parts.folder)
        try:
            _install(parts, beside, names)
        finally:
            if lock is not None:
                lock.release()
    except (InputError, StorageError, OSError) as error:
        parts.spare = beside
        _log.warning(
            "%s: %s was damaged or missing and is made again for now (%s)", parts.folder, said, error
        )
        return False
    shutil.rmtree(beside, ignore_errors=True)
    _log.warning("%s: %s was damaged or missing and has been made again", parts.folder, said)
    return True


def _install(parts: Parts, beside: Path, names: frozenset[str]) -> None:
    folder = parts.folder
    for name in sorted(names - {ARRAYS}):
        partial = folder / f"{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        if (beside / name).exists():
            shutil.copytree(beside / name, partial)
        if (folder / name).exists():
            shutil.rmtree(folder / name)
        if partial.exists():
            partial.rename(folder / name)
    if ARRAYS in names:
        artifacts.save_arrays(folder / ARRAYS, parts.arrays)
    about = artifacts.read_manifest(folder)
    artifacts.write_manifest(folder, {name: about[name] for name in about.keys() - {"files", "format"}})


def steps_since(folder: Path, generation: int) -> list[Step]:
    """What the change log holds behind a generation.

    Raises:
        ArtifactError: the log is damaged, or is missing where there must be one.
    """
    path = changes_of(folder)
    if not path.exists():
        if generation or vectors_of(folder).exists():
            raise ArtifactError(f"{path}: missing; without it nobody knows what changed since the fit")
        return []
    with ChangeLog.open(path) as log:
        return log.steps(after=generation)


def vectors_of_joined(parts: Parts, steps: Sequence[Step], net: Net) -> dict[int, np.ndarray]:
    """Place -> (d,) of the documents that joined; {} in a system without document vectors.

    Those that are not stored are made again, and stored if that is possible.
    """
    if VECTORS not in parts.arrays or not net.joined:
        return {}
    path, wanted = vectors_of(parts.folder), net.joined.keys()
    try:
        if not path.exists():
            raise ArtifactError(f"{path}: missing")
        if not path.with_name(f"{path.name}-journal").exists() and (reason := unsound_pages(path)):
            raise ArtifactError(f"{path}: is damaged ({reason})")
        found = read_vectors(path, wanted, parts.arrays[VECTORS].shape[1])
    except ArtifactError as error:
        _log.warning("%s; its vectors are made again", error)
        found = {}
        _unlink(path)
    if missing := wanted - found.keys():
        made = _made_again(parts, steps, missing)
        keep_vectors(path, made)
        found |= made
    return found


def _made_again(parts: Parts, steps: Iterable[Step], missing: Iterable[int]) -> dict[int, np.ndarray]:
    """In the company in which they first came, so that rounding is the same."""
    found: dict[int, np.ndarray] = {}
    left = set(missing)
    for step in steps:
        if left & {kept.place for kept in step.put}:
            vectors = parts.model.document_vectors([kept.document.contents for kept in step.put])
            together = zip(step.put, np.asarray(vectors, np.float32), strict=True)
            found |= {kept.place: vector for kept, vector in together if kept.place in left}
            left -= found.keys()
    return found


def keep_vectors(path: Path, vectors: dict[int, np.ndarray]) -> None:
    """Store vectors if the disk takes them: they can be made again."""
    try:
        write_vectors(path, vectors)
    except (apsw.Error, OSError):
        _log.debug("%s: not written", path)


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        _log.debug("%s: not removed", path)
