"""Compile the C sources beside this file into one shared library, with whatever C compiler is there.

Run while the package is installed, and by tests, so it imports the standard library only. Nothing
is downloaded. Each processor target is one object; one that a compiler cannot make is left out, but
for the plain one.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

SOURCE = Path(__file__).parent / "source"
LIBRARY = "retrograd_native.so"
FLAGS = ("-std=gnu11", "-O3", "-fPIC", "-fvisibility=hidden", "-fno-math-errno", "-pthread")
AVX512 = ("-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma")
TARGETS = {
    "amx": (*AVX512, "-mavx512bf16", "-mamx-tile", "-mamx-bf16"),
    "avx512": AVX512,
    "avx2": ("-mavx2", "-mfma"),
}
"""Flags of what a processor of the x86-64 kind may offer beyond the plain target."""


class BuildError(Exception):
    """There is no library; the text says why."""


def compiler() -> list[str]:
    """The command of the C compiler: `CC`, else the first of cc, gcc and clang.

    Raises:
        BuildError: none is installed.
    """
    asked = shlex.split(os.environ.get("CC", ""))
    if asked:
        if shutil.which(asked[0]):
            return asked
        raise BuildError(f"CC={asked[0]} is not a program that can be run")
    for name in ("cc", "gcc", "clang"):
        found = shutil.which(name)
        if found:
            return [found]
    raise BuildError("no C compiler found (cc, gcc or clang; or set CC)")


def build(folder: Path, extra_flags: Sequence[str] = ()) -> Path:
    """Compile into `folder`; returns the library.

    Args:
        extra_flags: for every call of the compiler, after our own.

    Raises:
        BuildError: no compiler, or it cannot compile the plain target.
    """
    command = [*compiler(), *FLAGS, *extra_flags]
    wanted = TARGETS if platform.machine().lower() in ("x86_64", "amd64") else {}
    with tempfile.TemporaryDirectory() as scratch:
        objects = [_object(command, "plain", (), Path(scratch))]
        have = []
        for name, flags in wanted.items():
            try:
                objects.append(_object(command, name, flags, Path(scratch)))
            except BuildError:
                continue
            have.append(f"-DHAVE_{name.upper()}")
        made = Path(scratch) / LIBRARY
        _run([*command, "-shared", *have, str(SOURCE / "dispatch.c"), *objects, "-lm", "-o", str(made)])
        folder.mkdir(parents=True, exist_ok=True)
        # a process that has the old library open keeps it: never write into the file itself
        fresh = folder / f".{LIBRARY}.{os.getpid()}"
        shutil.copy(made, fresh)
        fresh.replace(folder / LIBRARY)
    return folder / LIBRARY


def _object(command: list[str], target: str, flags: Sequence[str], folder: Path) -> str:
    made = str(folder / f"{target}.o")
    _run([*command, *flags, f"-DTARGET={target}", "-c", str(SOURCE / "core.c"), "-o", made])
    return made


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BuildError(f"{command[0]} cannot be run: {error}") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        raise BuildError(f"{command[0]} failed: {lines[0] if lines else f'exit code {done.returncode}'}")
