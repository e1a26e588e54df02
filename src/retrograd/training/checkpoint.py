"""Training state that survives a crash: one safetensors file per checkpoint, two generations kept.

Knows named tensors and JSON facts; what they mean is the loop's business. A file holds a sha256 of
its own content, so a damaged one is passed over for the generation before.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from retrograd.artifacts import from_json, write_bytes_atomic
from retrograd.errors import ArtifactError

GENERATIONS = 2
_NAME = re.compile(r"stage-(\d+)-step-(\d+)\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """What one file holds."""

    tensors: dict[str, Tensor]
    """On the CPU."""

    facts: dict[str, Any]
    """JSON values; floats come back bit for bit."""


def write_checkpoint(folder: Path, stage_index: int, step: int, checkpoint: Checkpoint) -> Path:
    """Write atomically, then delete all but the last generations of this stage.

    Raises:
        StorageError: the disk refused; earlier checkpoints are intact.
    """
    # tied weights share memory, which safetensors refuses: each name gets its own copy
    tensors = {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in checkpoint.tensors.items()
    }
    facts = json.dumps(checkpoint.facts, sort_keys=True)
    packed = json.dumps({"facts": facts, "sha256": _digest(tensors, facts)})
    path = folder / f"stage-{stage_index}-step-{step:08d}.safetensors"
    write_bytes_atomic(path, save(tensors, {"checkpoint": packed}))
    for old in _files(folder, stage_index)[GENERATIONS:]:
        old.unlink()
    return path


def latest_checkpoint(folder: Path, stage_index: int) -> Checkpoint | None:
    """The newest sound checkpoint of a stage; None where there is none at all.

    A damaged newer file is named in a warning.

    Raises:
        ArtifactError: there are files but every one is damaged.
    """
    files = _files(folder, stage_index)
    for path in files:
        try:
            return _read(path)
        except ArtifactError as error:
            warnings.warn(f"{error}; trying the generation before", RuntimeWarning, stacklevel=2)
    if files:
        raise ArtifactError(
            f"{files[0]}: every checkpoint of this stage is damaged; train it anew without resume"
        )
    return None


def delete_checkpoints(folder: Path, from_stage: int = 0) -> None:
    """Delete the checkpoints of `from_stage` and all later stages."""
    for path in _files(folder, None):
        if _numbers(path)[0] >= from_stage:
            path.unlink()


def _read(path: Path) -> Checkpoint:
    try:
        with safe_open(str(path), framework="pt") as reader:
            packed = from_json((reader.metadata() or {})["checkpoint"])
            tensors = {name: reader.get_tensor(name) for name in reader.keys()}  # noqa: SIM118
        facts, digest = str(packed["facts"]), packed["sha256"]
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise ArtifactError(f"{path}: is no sound checkpoint ({error})") from None
    if digest != _digest(tensors, facts):
        raise ArtifactError(f"{path}: is damaged (its sha256 does not match)")
    return Checkpoint(tensors, from_json(facts))


def _digest(tensors: Mapping[str, Tensor], facts: str) -> str:
    digest = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _files(folder: Path, stage_index: int | None) -> list[Path]:
    """Checkpoints, newest first."""
    found = [path for path in folder.glob("stage-*.safetensors") if _NAME.fullmatch(path.name)]
    return sorted(
        (path for path in found if stage_index is None or _numbers(path)[0] == stage_index),
        key=_numbers,
        reverse=True,
    )


def _numbers(path: Path) -> tuple[int, int]:
    match = _NAME.fullmatch(path.name)
    assert match is not None, "only names that matched come here"
    return int(match[1]), int(match[2])
