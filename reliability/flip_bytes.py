"""Flip random bytes of a saved system and see that each is reported with its file's name.

    python -m reliability.flip_bytes --flips 100 SYSTEM_DIR

Works on a copy. Files are grouped by kind (their suffix; those of the live part by name); every kind gets
the same number of flips and one truncation per ten flips. The lock holds nothing worth keeping.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrograd.artifacts import LIVE
from retrograd.live_folder import LOCK, check_system


@dataclass(frozen=True)
class FlipReport:
    """What the flips did."""

    flips: Mapping[str, int]
    """Damages done per kind of file, truncations included."""

    unreported: tuple[str, ...]
    """One line per damage that was not named; empty is what is promised."""


def flip_bytes(system: Path, flips: int, *, seed: int = 0) -> FlipReport:
    """Damage a copy of a saved folder `flips` times per kind of file.

    Raises:
        ValueError: the folder is damaged before the first flip.
    """
    problems = check_system(system)
    if problems:
        raise ValueError(f"{system} must be sound to begin with: {problems[0]}")
    draw = np.random.default_rng([seed, flips])
    done, unreported = {}, []
    with tempfile.TemporaryDirectory() as name:
        copy = Path(shutil.copytree(system, Path(name) / "copy"))
        for kind, files in _by_kind(copy).items():
            damages = ["flip"] * flips + ["truncation"] * max(flips // 10, 1)
            for damage in damages:
                path = files[draw.integers(len(files))]
                unreported += _unreported(copy, path, _damaged(path.read_bytes(), damage, draw), damage)
            done[kind] = len(damages)
    return FlipReport(done, tuple(unreported))


def _by_kind(folder: Path) -> dict[str, list[Path]]:
    kinds: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and path.stat().st_size and name != f"{LIVE}/{LOCK}":
            kinds.setdefault(name if path.parent.name == LIVE else path.suffix or path.name, []).append(path)
    return kinds


def _damaged(content: bytes, damage: str, draw: np.random.Generator) -> bytes:
    at = int(draw.integers(len(content)))
    if damage == "truncation":
        return content[:at]
    return content[:at] + bytes([content[at] ^ int(draw.integers(1, 256))]) + content[at + 1 :]


def _unreported(folder: Path, path: Path, damaged: bytes, damage: str) -> list[str]:
    """[] where `check_system` names the damaged file; the file is whole again afterwards."""
    content, name = path.read_bytes(), path.relative_to(folder).as_posix()
    _put(path, damaged)
    reported = any(line.startswith(f"{name}:") for line in check_system(folder))
    _put(path, content)
    return [] if reported else [f"{name}: a {damage} went unreported"]


def _put(path: Path, content: bytes) -> None:
    """Another file in its place: the one before may be mapped, and cutting that would end the process."""
    path.unlink()
    path.write_bytes(content)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("system", type=Path)
    parser.add_argument("--flips", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    report = flip_bytes(arguments.system, arguments.flips, seed=arguments.seed)
    for kind, number in report.flips.items():
        print(f"{kind}: {number} damages")
    raise SystemExit("\n".join(report.unreported) or 0)


if __name__ == "__main__":
    main()
