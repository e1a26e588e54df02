"""A memory as a folder: arrays in safetensors, the rest as JSON, every byte under a hash.

Knows arrays and JSON; what they mean is the business of `memory`.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrograd.artifacts import (
    check_folder,
    current,
    load_arrays,
    publish,
    read_json,
    read_manifest,
    save_arrays,
    storage_errors,
    write_json,
    write_manifest,
)
from retrograd.errors import ArtifactError
from retrograd.types import State

KIND = "memory"
ROWS, FILED, PAYLOAD = "rows.safetensors", "index.safetensors", "payload.json"


@dataclass(frozen=True, eq=False, kw_only=True)
class Contents:
    """What is kept."""

    arrays: State
    """`keys`, `ids`, `alive`; `values` if not the keys, `filed_keys` if an index is stale."""

    filed: State
    """The state of an index; {} for none."""

    told: dict[str, Any]
    payload: list[Any] | None


def write_contents(folder: str | Path, contents: Contents) -> None:
    """Replace a folder by what is to be kept; at every moment the old or the new one is whole.

    Raises:
        ValueError: a payload that is no JSON, so that it would not come back as it was.
        StorageError: the disk refused; what was there before is unchanged.
    """
    folder = Path(folder)
    _check_payload(contents.payload)
    partial = folder.with_name(folder.name + ".partial")
    with storage_errors(folder):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    save_arrays(partial / ROWS, contents.arrays)
    if contents.filed:
        save_arrays(partial / FILED, contents.filed)
    if contents.payload is not None:
        write_json(partial / PAYLOAD, contents.payload)
    write_manifest(partial, {"kind": KIND, **contents.told})
    publish(partial, folder)


def read_contents(folder: str | Path) -> Contents:
    """What `write_contents` was given, after every byte has been checked.

    Raises:
        ArtifactError: missing, damaged, or something else.
    """
    folder = current(folder)
    problems = check_folder(folder)
    if problems:
        raise ArtifactError(f"{folder / problems[0]}")
    told = read_manifest(folder)
    if told.get("kind") != KIND or not (folder / ROWS).exists():
        raise ArtifactError(f"{folder}: holds no memory")
    return Contents(
        arrays=load_arrays(folder / ROWS),
        filed=load_arrays(folder / FILED) if (folder / FILED).exists() else {},
        told=told,
        payload=read_json(folder / PAYLOAD) if (folder / PAYLOAD).exists() else None,
    )


def _check_payload(payload: list[Any] | None) -> None:
    try:
        same = payload is None or json.loads(json.dumps(payload)) == payload
    except (TypeError, ValueError):
        same = False
    if not same:
        raise ValueError("the payload is no JSON; keep it elsewhere and save a memory without one")
