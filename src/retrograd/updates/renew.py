"""A fresh base for a system that changed: the same documents, in indexes that hold them and no others.

Writes beside the folder it is to replace. The log that goes with it, and the moment it takes over, are the
business of `updates.live`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from retrograd import artifacts
from retrograd.change_log import Net
from retrograd.live_folder import WriterLock
from retrograd.search.changed import settled_parts
from retrograd.system import Origin, System
from retrograd.training.own_queries import own_queries

CARRIED = (".md", ".jsonl", ".png")
"""Files about a fit that go along."""


def write_renewed(before: System, system: System, folder: Path, number: int) -> Path:
    """Write `system` as the base of generation `number`, and return where: beside `folder`.

    Args:
        before: what the folder holds now, whose documents keep their places and whose story goes along.
        system: the same documents, in the same order.

    Raises:
        StorageError: the disk refused; `folder` is as it was.
    """
    partial = folder.with_name(f"{folder.name}.renewing")
    shutil.rmtree(partial, ignore_errors=True)
    with artifacts.storage_errors(partial):
        (partial / artifacts.LIVE).mkdir(parents=True)
        for name in before.manifest.get("files", {}):
            if Path(name).suffix in CARRIED and Path(name).name == name:
                shutil.copy(before.folder / name, partial / name)
    parts = settled_parts(system.parts, partial)
    searcher = system.recipe.search.build(parts)
    own_queries(system.recipe, parts)
    origin = Origin(parts, before.places, Net(generation=number))
    renewed = System(system.recipe, parts, searcher, system.fitted, system.manifest, origin)
    about = {name: value for name, value in system.manifest.items() if name not in ("files", "format")}
    renewed.write(partial, about, keep_places=True)
    return partial


def finish_renewal(folder: Path) -> None:
    """Put the older folder back where a crash came between the two renames of a newer one."""
    older = artifacts.previous_of(folder)
    if not folder.exists() and older.exists():
        lock = WriterLock(older)  # whoever holds it is about to finish by itself
        try:
            older.rename(folder)
            artifacts.fsync(folder.parent)
        finally:
            lock.release()
