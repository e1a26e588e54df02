"""Delete, empty, flip and cut every derived file of systems that changed: the same answers come back.

    python -m reliability.damage_derived --damages 50

Works on copies of a lexical, a dense and a generative system to which documents were added, changed and
deleted. After each damage `check` must name the file, the next load must give the same ten answers with the
same scores, and after it the folder must be sound again.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reliability.small_served import changed_systems
from retrograd.errors import RetrogradError
from retrograd.live_folder import check_system, vectors_of
from retrograd.repair import ARRAYS
from retrograd.search.lexical import FOLDER
from retrograd.system import System
from retrograd.types import Ranking

QUESTIONS = ["depth of an image", "translate a text", "a forecast of rain", "classify sounds"]


@dataclass(frozen=True)
class DerivedReport:
    """What the damages did."""

    damages: Counter[str]
    """Per system and file; the files of a lexical index count as one."""

    faults: tuple[str, ...]
    """One line each; empty is what is promised."""


def derived_files(folder: Path) -> list[Path]:
    """Every file that can be made again."""
    inside = [path for path in folder.glob(f"{FOLDER}*/*") if path.is_file()]
    own = [path for path in (folder / ARRAYS, vectors_of(folder)) if path.is_file()]
    return sorted([*own, *inside])


def damage_derived(folders: Sequence[Path], damages: int, *, seed: int = 0) -> DerivedReport:
    """Delete and empty each derived file once, and flip or cut one `damages` times per system."""
    draw = np.random.default_rng([seed, damages])
    done: Counter[str] = Counter()
    faults: list[str] = []
    repair_log = logging.getLogger("retrograd.repair")
    before, repair_log.disabled = repair_log.disabled, True  # one line per damage, all of them expected
    try:
        for sound in folders:
            answers = _answers(sound)
            files = derived_files(sound)
            planned = [(path, damage) for path in files for damage in ("deleted", "emptied")]
            drawn = [files[at] for at in draw.integers(len(files), size=damages)]
            planned += [(path, ("flipped", "cut")[at % 4 == 3]) for at, path in enumerate(drawn)]
            for path, damage in planned:
                name = path.relative_to(sound).as_posix()
                done[f"{sound.name} {name.split('/')[0] if name.startswith(FOLDER) else name}"] += 1
                said = _fault(sound, name, lambda content, d=damage: _damaged(content, d, draw), answers)
                faults += [f"{sound.name} {name} {damage}: {said}"] if said else []
            for index in sorted(sound.glob(f"{FOLDER}*")):
                done[f"{sound.name} {index.name}"] += 1
                said = _fault(sound, index.name, lambda _: None, answers)
                faults += [f"{sound.name} {index.name} deleted: {said}"] if said else []
    finally:
        repair_log.disabled = before
    return DerivedReport(done, tuple(faults))


def _damaged(content: bytes, damage: str, draw: np.random.Generator) -> bytes | None:
    if damage == "deleted":
        return None
    at = int(draw.integers(len(content))) if content else 0
    if damage == "cut" or not content:
        return content[:at] if content else b"x"
    flipped = bytes([content[at] ^ int(draw.integers(1, 256))])
    return b"" if damage == "emptied" else content[:at] + flipped + content[at + 1 :]


def _fault(sound: Path, name: str, damage: Callable[[bytes], bytes | None], answers: Ranking) -> str:
    with tempfile.TemporaryDirectory() as here:
        folder = Path(shutil.copytree(sound, Path(here) / sound.name))
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            content = damage(path.read_bytes())
            path.unlink()
            if content is not None:
                path.write_bytes(content)
        # vectors may be missing at any time: the next load computes them, and nobody else asks
        if not any(line.startswith(name) for line in check_system(folder)) and path != vectors_of(folder):
            return "check does not name it"
        try:
            if _answers(folder) != answers:
                return "other answers"
        except RetrogradError as error:
            return f"refused: {error}"
        return "; ".join(check_system(folder))


def _answers(folder: Path) -> Ranking:
    return System.load(folder).search(QUESTIONS, k=10)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--damages", type=int, default=50, help="flips and cuts per system")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        report = damage_derived(changed_systems(Path(name)), arguments.damages, seed=arguments.seed)
    for kind, count in sorted(report.damages.items()):
        print(f"{kind}: {count} damages")
    raise SystemExit("\n".join(report.faults) or 0)


if __name__ == "__main__":
    main()
