"""Files that survive crashes and show damage: atomic writes, safetensors arrays, hashed folders.

Knows bytes, arrays and hashes; what a folder means is the business of `system`. Every file of a
saved folder stands in `manifest.json` with its sha256; the manifest hashes itself.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from retrograd.docid_table import DocidTable
from retrograd.errors import ArtifactError, StorageError
from retrograd.types import State

MANIFEST = "manifest.json"
LIVE = "live"
"""Folder inside a saved one for what changes later: no manifest lists it, see `live_folder`."""

FORMAT = 1
"""Version of the manifest itself; a reader refuses a later one."""

_LARGEST_MANIFEST = 64 * 2**20
_LONGEST_NAME = 512
_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EACCES, errno.EIO)


def text_to_array(text: str) -> np.ndarray:
    """Text as (bytes,) uint8 UTF-8, so that it can travel among arrays.

    >>> array_to_text(text_to_array("docid"))
    'docid'
    """
    return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).copy()


def array_to_text(array: np.ndarray) -> str:
    """The text that `text_to_array` was given."""
    return bytes(np.asarray(array, np.uint8)).decode("utf-8", "surrogatepass")


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """A refused write (disk full, read-only) becomes a `StorageError` that names the file."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        raise StorageError(
            f"{path}: cannot be written ({error.strerror}); free space or choose another folder, "
            "what was stored before is unchanged"
        ) from error


def fsync(path: Path) -> None:
    """Force a file's or folder's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes_atomic(path: str | Path, content: bytes) -> None:
    """Replace a file by new content: readers and crashes see the old or the new file, never a part.

    Raises:
        StorageError: the disk refused; the old file is intact.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    with storage_errors(path):
        try:
            with partial.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        fsync(path.parent)


def write_json(path: str | Path, value: Any) -> None:
    """Atomically write a value as indented JSON with sorted keys (same value, same bytes)."""
    write_bytes_atomic(path, _json_bytes(value))


def from_json(text: str | bytes) -> Any:
    """The value of a JSON text from a file that may be damaged or made to do harm.

    Raises:
        ValueError: it is no JSON, or is nested deeper than Python can follow.

    >>> from_json("[" * 10**6)
    Traceback (most recent call last):
    ...
    ValueError: JSON that is nested too deeply
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None


def read_json(path: str | Path) -> Any:
    """The value of a JSON file.

    Raises:
        ArtifactError: the file is missing or is no JSON.
    """
    try:
        return from_json(Path(path).read_bytes())
    except OSError as error:
        raise ArtifactError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise ArtifactError(f"{path}: is no JSON ({error})") from None


def save_arrays(path: str | Path, arrays: State, metadata: Mapping[str, str] | None = None) -> None:
    """Atomically write named arrays as one safetensors file; same arrays, same bytes."""
    from safetensors.numpy import save

    # safetensors writes several metadata keys in random order: one key keeps the bytes equal
    packed = {"metadata": json.dumps(dict(metadata), sort_keys=True)} if metadata else None
    dense = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    write_bytes_atomic(path, save(dense, packed))


def load_arrays(path: str | Path) -> State:
    """The arrays of a safetensors file.

    Raises:
        ArtifactError: missing, truncated or not safetensors.
    """
    return _read_safetensors(Path(path))[0]


def load_metadata(path: str | Path) -> dict[str, str]:
    """The metadata `save_arrays` stored beside the arrays; {} where there was none."""
    return _read_safetensors(Path(path))[1]


def _read_safetensors(path: Path) -> tuple[State, dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="np") as reader:
            packed = (reader.metadata() or {}).get("metadata", "{}")
            return {name: reader.get_tensor(name) for name in reader.keys()}, from_json(packed)  # noqa: SIM118
    except OSError as error:
        raise ArtifactError(f"{path}: {error.strerror or 'no such file'}") from None
    except (SafetensorError, ValueError, TypeError) as error:
        raise ArtifactError(f"{path}: is no sound safetensors file ({error})") from None


def save_table(path: str | Path, table: DocidTable) -> None:
    """A docid table as one safetensors file; its scheme's state under the prefix `state.`."""
    arrays = {
        "tokens": table.tokens,
        "offsets": table.offsets,
        "pairs": table.pairs,
        "document_ids": text_to_array(json.dumps(table.document_ids)),
        "token_names": text_to_array(json.dumps(table.token_names)),
    }
    arrays |= {f"state.{name}": array for name, array in table.state.items()}
    shape = {"level_sizes": table.level_sizes, "shared_vocabulary": table.shared_vocabulary}
    save_arrays(path, arrays, {"docid_table": json.dumps(shape)})


def load_table(path: str | Path) -> DocidTable:
    """The table that `save_table` wrote.

    Raises:
        ArtifactError: the file is damaged or holds something else.
    """
    arrays, metadata = _read_safetensors(Path(path))
    try:
        shape = from_json(metadata["docid_table"])
        return DocidTable(
            tokens=arrays["tokens"],
            offsets=arrays["offsets"],
            pairs=arrays["pairs"],
            document_ids=tuple(from_json(array_to_text(arrays["document_ids"]))),
            level_sizes=tuple(shape["level_sizes"]),
            shared_vocabulary=shape["shared_vocabulary"],
            token_names=tuple(from_json(array_to_text(arrays["token_names"]))),
            state={name[6:]: array for name, array in arrays.items() if name.startswith("state.")},
        )
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise ArtifactError(f"{path}: is no sound docid table ({error})") from None


def sha256_file(path: str | Path) -> str:
    """Hex digest of a file's content."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(folder: str | Path, info: Mapping[str, Any]) -> None:
    """Write `manifest.json`: `info`, and size and sha256 of every other file in the folder.

    Raises:
        ArtifactError: the folder holds a link or a special file.
    """
    folder = Path(folder)
    files, strange = _walk(folder)
    if strange:
        raise ArtifactError(f"{folder / strange[0]}")
    entries = {name: {"bytes": p.stat().st_size, "sha256": sha256_file(p)} for name, p in files.items()}
    told = {name: value for name, value in info.items() if name != "sha256"}  # it may come from a manifest
    body = {**told, "format": FORMAT, "files": entries}
    write_json(folder / MANIFEST, body | {"sha256": _digest(body)})


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest, after checking it against its own hash; the files are `check_folder`'s work.

    Raises:
        ArtifactError: missing, damaged, from a later format, or a file name that leaves the folder.
    """
    path = Path(folder) / MANIFEST
    if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST_MANIFEST:
        raise ArtifactError(f"{path}: is missing or no plain file; {folder} is no saved system")
    manifest = read_json(path)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise ArtifactError(f"{path}: is no manifest")
    body = {name: value for name, value in manifest.items() if name != "sha256"}
    # comparing the bytes too finds a changed blank, which JSON would forgive
    if manifest.get("sha256") != _digest(body) or path.read_bytes() != _json_bytes(manifest):
        raise ArtifactError(f"{path}: is damaged (its sha256 does not match)")
    if manifest.get("format") != FORMAT:
        raise ArtifactError(f"{path}: has format {manifest.get('format')}, this version reads {FORMAT}")
    for name, entry in manifest["files"].items():
        if not _stays_inside(name) or not isinstance(entry, dict) or not {"bytes", "sha256"} <= entry.keys():
            raise ArtifactError(f"{path}: lists {name!r:.80}, which is no file of this folder")
    return manifest


def shown(name: str) -> str:
    """A file's name at the beginning of a line that says what is wrong with it.

    >>> shown("recipe.json"), shown("two\\nlines")
    ('recipe.json', "'two\\\\nlines'")
    """
    return name if name.isprintable() and ":" not in name else repr(name)


def check_folder(folder: str | Path) -> list[str]:
    """Compare a folder with its manifest.

    Returns: one line per damaged, missing or foreign file, each beginning with the file's name in
    the folder; [] means every byte is as it was written.
    """
    folder = Path(folder)
    try:
        listed: dict[str, Any] = read_manifest(folder)["files"]
    except ArtifactError as error:
        return [f"{MANIFEST}: {str(error).removeprefix(f'{folder / MANIFEST}: ')}"]
    files, problems = _walk(folder)
    strange = {problem.split(":")[0] for problem in problems}
    problems += [f"{shown(name)}: missing" for name in listed if name not in files and name not in strange]
    problems += [f"{shown(name)}: foreign (not in the manifest)" for name in files if name not in listed]
    for name in sorted(listed.keys() & files.keys()):
        size = files[name].stat().st_size
        if size != listed[name]["bytes"]:
            problems.append(f"{name}: damaged ({size} bytes instead of {listed[name]['bytes']})")
        elif sha256_file(files[name]) != listed[name]["sha256"]:
            problems.append(f"{name}: damaged (its sha256 does not match)")
    return sorted(problems)


def previous_of(final: str | Path) -> Path:
    """Where `publish` keeps the generation before."""
    final = Path(final)
    return final.with_name(final.name + ".previous")


def current(final: str | Path) -> Path:
    """The folder to open: `final`, or the generation before where a crash hit between the two renames."""
    final = Path(final)
    return previous_of(final) if not final.exists() and previous_of(final).exists() else final


def publish(partial: str | Path, final: str | Path) -> None:
    """Make a finished folder the current one; an older `final` is kept as `<final>.previous`.

    At every moment `current(final)` names a complete generation.

    Raises:
        StorageError: the disk refused; the older generation is intact.
    """
    partial, final = Path(partial), Path(final)
    older = previous_of(final)
    with storage_errors(final):
        for folder, _, names in os.walk(partial, topdown=False):
            for name in names:
                fsync(Path(folder) / name)
            fsync(Path(folder))
        if final.exists():
            shutil.rmtree(older, ignore_errors=True)
            final.rename(older)
            fsync(final.parent)
        partial.rename(final)
        fsync(final.parent)


def _json_bytes(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_json_bytes(body)).hexdigest()


def _stays_inside(name: Any) -> bool:
    path = PurePosixPath(name)
    inside = bool(path.parts) and not path.is_absolute() and ".." not in path.parts and name != MANIFEST
    return inside and len(name) <= _LONGEST_NAME


def _walk(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Plain files below a folder by relative name (without manifest and `LIVE`), and lines on all else."""
    files: dict[str, Path] = {}
    strange: list[str] = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.partition("/")[0] == LIVE:
            continue
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode) and name != MANIFEST:
            files[name] = path
        elif stat.S_ISLNK(mode):
            strange.append(f"{shown(name)}: refused (a symbolic link)")
        elif not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            strange.append(f"{shown(name)}: refused (neither file nor folder)")
    return files, strange
