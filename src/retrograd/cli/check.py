"""`retrograd check`: is every file of a saved system what it was when it was saved?"""

from __future__ import annotations

from pathlib import Path

from retrograd.artifacts import read_manifest
from retrograd.errors import ArtifactError, InputError
from retrograd.live_folder import changes_of, check_system


def check_command(folder: Path) -> None:
    """Print how many files are sound.

    Raises:
        InputError: the folder is no system.
        ArtifactError: names every file that is damaged, missing or foreign.
    """
    if not (folder / "manifest.json").exists():
        raise InputError("no retrograd system here (manifest.json is missing)", path=folder)
    problems = check_system(folder)
    if problems:
        raise ArtifactError(f"{folder}: {'; '.join(problems)}")
    changes = ", and so is the log of its changes" if changes_of(folder).exists() else ""
    print(f"{folder}: sound, {len(read_manifest(folder)['files'])} files match their hashes{changes}")
