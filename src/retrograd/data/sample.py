"""Real collections that ship with the library, so that a first answer needs no download."""

from __future__ import annotations

from pathlib import Path

from retrograd.errors import InputError

_FOLDER = Path(__file__).parent / "samples"


def sample_path(name: str) -> Path:
    """The folder of a shipped collection; its licence and attribution lie beside the data.

    Raises:
        InputError: no such collection; the text lists those there are.

    >>> sample_path("apibench").name
    'apibench'
    """
    names = sorted(folder.name for folder in _FOLDER.iterdir() if folder.is_dir())
    if name not in names:
        raise InputError(f"no sample {name!r:.80} is shipped; there is {', '.join(names)}")
    return _FOLDER / name
