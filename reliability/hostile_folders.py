"""Saved folders that somebody made to do harm: each is refused in one line or answers as the sound one does.

    python -m reliability.hostile_folders --tampered 300

Two kinds. What no manifest may list (links, pipes, names that leave the folder, scripts) must be reported by
`check`. What a manifest vouches for, because whoever changed the files sealed them again, must at least do
nothing but be read. Every attempt runs in a child that checks, loads, serves and asks, under a time limit;
what lies outside the folder must be the same afterwards, nothing of the folder may have run, and no error may
be longer than a line.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import sqlite3
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import retrograd.server.application  # the child forks with it
from reliability.small_served import changed_systems
from reliability.victims import place_of, start
from retrograd import artifacts
from retrograd.artifacts import LIVE, MANIFEST
from retrograd.errors import RetrogradError
from retrograd.live_folder import CHANGES, LOCK, VECTORS, check_system
from retrograd.system import System, part_kinds
from retrograd.updates.live import LiveSystem

SECONDS = 60.0
"""A child that takes longer hangs."""

LONGEST_LINE = 4000
QUESTIONS = ["depth of an image", "translate a text", "rain"]
RESULT = "result.json"
RAN = "ran"
"""What a planted script would leave outside."""

MARKERS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect")
"""Audit events that reading a folder never causes."""

part_kinds()  # imports every part, and torch with them
retrograd.server.application.build  # noqa: B018

Tamper = Callable[[Path, Path], None]
"""Told the folder, and a folder outside that must stay as it is."""


@dataclass(frozen=True)
class Attack:
    """One way to prepare a folder."""

    name: str
    tamper: Tamper
    sealed: bool = False
    """Whether the manifest vouches for the result: then only `check` may pass."""


@dataclass(frozen=True)
class HostileReport:
    """What came of it."""

    attempts: int
    accepted: int
    """Folders that opened; the rest was refused."""

    faults: tuple[str, ...]
    """One line each; empty is what is promised."""


def seal(folder: Path, **changes: Any) -> None:
    """A manifest that vouches for whatever the folder now holds."""
    told = json.loads((folder / MANIFEST).read_bytes()) | changes
    (folder / MANIFEST).unlink()
    artifacts.write_manifest(folder, {name: told[name] for name in told.keys() - {"files", "format"}})


def vouch(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the manifest itself; its own hash fits."""
    body = json.loads((folder / MANIFEST).read_bytes())
    body.pop("sha256")
    change(body)
    with suppress(RecursionError):
        body["sha256"] = artifacts._digest(body)
    (folder / MANIFEST).write_bytes(artifacts._json_bytes(body))


TARGETS = (
    MANIFEST,
    "recipe.json",
    "documents.sqlite",
    "derived.safetensors",
    "fitted.safetensors",
    "model.safetensors",
    "lexical/meta.json",
    "lexical",
    LIVE,
    f"{LIVE}/{CHANGES}",
    f"{LIVE}/{VECTORS}",
    f"{LIVE}/{LOCK}",
    f"{LIVE}/{CHANGES}-journal",
)
"""Places where a link or a pipe may stand instead of what belongs there."""

NAMES = (
    "../outside/secret",
    "/etc/passwd",
    "a/../../outside/secret",
    "..",
    ".",
    "",
    "a\0b",
    "live/../x",
    "a" * 9000,
)
SCRIPTS = (
    "__init__.py",
    "sitecustomize.py",
    "conftest.py",
    "recipe.py",
    "model.pkl",
    "pytorch_model.bin",
    "x.so",
    "a\nb.py",
    "\udcff.py",
)


def attacks() -> Iterator[Attack]:
    """Every fixed attack."""
    for name in TARGETS:
        yield Attack(
            f"link to a file: {name}", _replaced(name, lambda path, out: path.symlink_to(out / "secret"))
        )
        yield Attack(f"link to a folder: {name}", _replaced(name, lambda path, out: path.symlink_to(out)))
        yield Attack(
            f"link to nothing: {name}", _replaced(name, lambda path, out: path.symlink_to(out / "new"))
        )
        yield Attack(f"pipe: {name}", _replaced(name, lambda path, out: os.mkfifo(path)))
        if name != LIVE:  # without it the folder is the one that was fitted
            yield Attack(f"folder: {name}", _replaced(name, lambda path, out: path.mkdir()))
    for name in NAMES:
        entry = {"bytes": 6, "sha256": "0" * 64}
        yield Attack(
            f"name {name[:30]!r}", _vouched(lambda body, n=name, e=entry: body["files"].update({n: e}))
        )
    for name in SCRIPTS:
        for place in (".", "lexical", LIVE):
            yield Attack(f"script {place}/{name!r}", _script(f"{place}/{name}"))
        yield Attack(f"listed script {name!r}", _script(name, listed=True), sealed=True)
    yield Attack("very many files", _many)
    for value in (None, 7, "x", [], {"a": {}}, {"bytes": None, "sha256": []}, {"bytes": -1, "sha256": "x"}):
        yield Attack(f"files are {value!r}", _vouched(lambda body, v=value: body.update(files=v)))
        yield Attack(
            f"entry {value!r}", _vouched(lambda body, v=value: body["files"].update({"recipe.json": v}))
        )
        for key in ("generation", "recipe", "model_fingerprint", "documents", "format"):
            yield Attack(
                f"{key} is {value!r}", _vouched(lambda body, k=key, v=value: body.update({k: v})), sealed=True
            )
    for depth in (300, 900, 5000, 200_000):
        for file in ("recipe.json", MANIFEST):
            nested = ("[" * depth + "]" * depth, '{"kind":' * depth + "1" + "}" * depth)
            for shape in nested:
                yield Attack(
                    f"{depth} deep {shape[:3]} {file}",
                    _written(file, shape.encode()),
                    sealed=file != MANIFEST,
                )
    yield Attack("digits", _written("recipe.json", b'{"kind": ' + b"9" * 10_000 + b"}"), sealed=True)
    for kind in ("os.system", "__import__", "Path", ["x"], {"kind": "Recipe"}, None, 3):
        value = json.dumps({"kind": kind, "name": "x", "args": ["touch ran"]}).encode()
        yield Attack(f"recipe of kind {kind!r}", _written("recipe.json", value), sealed=True)
    for file in ("derived.safetensors", "fitted.safetensors", "model.safetensors", "docids.safetensors"):
        for name, content in _tensors().items():
            yield Attack(f"{file} {name}", _written(file, content), sealed=True)
    for name, statement in STATEMENTS.items():
        for file in ("documents.sqlite", f"{LIVE}/{CHANGES}", f"{LIVE}/{VECTORS}"):
            yield Attack(f"{file} {name}", _executed(file, statement), sealed=True)
    for content in (b"", b"{}", b"[" * 50_000, b"\x80\x04c__builtin__\neval\n.", os.urandom(5000)):
        yield Attack(f"lexical of {content[:9]!r}", _all_written("lexical", content), sealed=True)


STATEMENTS = {
    "view without an end": "ALTER TABLE {0} RENAME TO kept; CREATE VIEW {0} AS "
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT x AS position, x AS id, x AS title, "
    "x AS text, x AS metadata, x AS number, x AS generation, x AS kind, x AS place, x AS keys, x AS texts, "
    "x AS learnt, x AS vector FROM n",
    "view that calls": "ALTER TABLE {0} RENAME TO kept; "
    "CREATE VIEW {0} AS SELECT *, load_extension('x') FROM kept",
    "trigger": "CREATE TRIGGER evil BEFORE INSERT ON {0} BEGIN DELETE FROM {0}; END",
    "nothing in it": "DELETE FROM {0}",
    "no table": "DROP TABLE {0}",
    "other columns": "DROP TABLE {0}; CREATE TABLE {0} (a, b)",
}


def _tensors() -> dict[str, bytes]:
    def packed(header: str, data: bytes = b"") -> bytes:
        return struct.pack("<Q", len(header)) + header.encode() + data

    entry = '{"w":{"dtype":"F32","shape":%s,"data_offsets":[%s]}}'
    return {
        "header of 2^63 bytes": struct.pack("<Q", 2**63 - 1) + b"{}",
        "header of 2^40 bytes": struct.pack("<Q", 2**40) + b"{}",
        "header of 60 million blanks": packed("{" + " " * 60_000_000 + "}"),
        "deep header": packed('{"a":' * 50_000 + "1" + "}" * 50_000),
        "shape that overflows": packed(entry % ("[4294967296,4294967296,16]", "0,0")),
        "offsets outside": packed(entry % ("[4]", "0,1099511627776")),
        "offsets backwards": packed(entry % ("[4]", "16,0"), b"\0" * 16),
        "no tensor": packed("{}"),
        "another tensor": packed(entry % ("[1]", "0,4"), b"\0" * 4),
        "a pickle": b"\x80\x04\x95\x1c\x00\x00\x00\x00\x00\x00\x00cposix\nsystem\n(Vtouch ran\ntR.",
    }


def _replaced(name: str, make: Tamper) -> Tamper:
    def tamper(folder: Path, outside: Path) -> None:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        make(path, outside)

    return tamper


def _vouched(change: Callable[[dict[str, Any]], Any]) -> Tamper:
    return lambda folder, outside: vouch(folder, change)


def _written(name: str, content: bytes) -> Tamper:
    def tamper(folder: Path, outside: Path) -> None:
        (folder / name).write_bytes(content)
        if name != MANIFEST:
            seal(folder)

    return tamper


def _all_written(name: str, content: bytes) -> Tamper:
    def tamper(folder: Path, outside: Path) -> None:
        for path in (folder / name).glob("*"):
            path.write_bytes(content)
        seal(folder)

    return tamper


def _script(name: str, *, listed: bool = False) -> Tamper:
    def tamper(folder: Path, outside: Path) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"import pathlib; pathlib.Path({str(outside / RAN)!r}).write_text('ran')\n")
        if listed:
            seal(folder)

    return tamper


def _many(folder: Path, outside: Path) -> None:
    for number in range(3000):
        (folder / f"{number}.py").write_text("")


def _executed(name: str, statement: str) -> Tamper:
    def tamper(folder: Path, outside: Path) -> None:
        path = folder / name
        table = {CHANGES: "changes", VECTORS: "vectors"}.get(path.name, "documents")
        if path.exists():
            executed(path, statement.format(table))
        seal(folder)

    return tamper


def executed(path: Path, statement: str, values: tuple[Any, ...] = ()) -> None:
    """Change a database; its checksums fit afterwards, as those of whoever has this library would."""
    from apsw import SQLITE_OPEN_READWRITE

    from retrograd.document_store import connect

    connection = connect(path, SQLITE_OPEN_READWRITE)
    try:
        connection.execute(statement, values)
    finally:
        connection.close()


def tampered(folder: Path, draw: np.random.Generator) -> str:
    """Put a value of another kind somewhere into what a folder says, and seal it; what was done."""
    choices = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != LOCK]
    path = choices[draw.integers(len(choices))]
    name = path.relative_to(folder).as_posix()
    if path.suffix == ".json":
        value, said = _other_value(json.loads(path.read_bytes()), draw)
        if name == MANIFEST:
            vouch(folder, lambda body: (body.clear(), body.update(value if isinstance(value, dict) else {})))
            return f"{name} {said}"
        path.write_text(json.dumps(value))
    elif path.suffix == ".sqlite":
        said = _other_cell(path, draw)
    elif path.suffix == ".safetensors":
        said = _other_array(path, draw)
    else:
        content = bytearray(path.read_bytes() or b"x")
        content[int(draw.integers(len(content)))] ^= int(draw.integers(1, 256))
        path.write_bytes(content)
        said = "one byte"
    seal(folder)
    return f"{name} {said}"


ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1.5,
    10**30,
    "",
    "x",
    "../x",
    [],
    {},
    [None],
    {"kind": "x"},
    "\ud800",
)


def _other_value(value: Any, draw: np.random.Generator) -> tuple[Any, str]:
    if isinstance(value, dict | list) and value and draw.random() < 0.85:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = keys[draw.integers(len(keys))]
        if isinstance(value, dict) and draw.random() < 0.1:
            return {name: inner for name, inner in value.items() if name != key}, f"without {key}"
        inner, said = _other_value(value[key], draw)
        copy = dict(value) if isinstance(value, dict) else list(value)
        copy[key] = inner
        return copy, f"{key}.{said}"
    odd = ODD[draw.integers(len(ODD))]
    return odd, f"is {odd!r}"


def _other_cell(path: Path, draw: np.random.Generator) -> str:
    with tempfile.TemporaryDirectory() as name:  # the plain module reads a copy: it knows no checksums
        copy = shutil.copy(path, name)
        plain = sqlite3.connect(copy)
        tables = [row[0] for row in plain.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        table = tables[draw.integers(len(tables))]
        columns = [row[1] for row in plain.execute(f"PRAGMA table_info({table})")]
        rows = [row[0] for row in plain.execute(f"SELECT rowid FROM {table}")]
        plain.close()
    column = columns[draw.integers(len(columns))]
    odd: Any = (None, -1, 2**62, 1.5, "x", "[]", "{}", "[[[1.5]]]", '{"a":' * 3000, b"\xff\xfe", "\0")[
        draw.integers(11)
    ]
    with suppress(Exception):  # what the schema does not allow stays as it was
        executed(
            path, f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (odd, rows[draw.integers(len(rows))])
        )
    return f"{table}.{column} = {str(odd)[:20]!r}"


def _other_array(path: Path, draw: np.random.Generator) -> str:
    arrays, metadata = artifacts.load_arrays(path), artifacts.load_metadata(path)
    if not arrays:
        return "nothing"
    name = sorted(arrays)[draw.integers(len(arrays))]
    array = arrays[name]
    changes: dict[str, Callable[[], Any]] = {
        "gone": lambda: None,
        "flat": lambda: array.reshape(-1),
        "empty": lambda: array.reshape(-1)[:0] if array.ndim == 0 else array[:0],
        "longer": lambda: np.concatenate([array, array]) if array.ndim else array,
        "text": lambda: artifacts.text_to_array("[" * 3000),
        "other numbers": lambda: array.astype(np.float64 if array.dtype.kind != "f" else np.int64),
        "huge": lambda: np.full_like(
            array, np.iinfo(array.dtype).max if array.dtype.kind in "iu" else np.nan
        ),
        "negative": lambda: (array.astype(np.int64) * 0 - 1).astype(array.dtype),
    }
    change = list(changes)[draw.integers(len(changes))]
    made = changes[change]()
    arrays = {key: kept for key, kept in arrays.items() if key != name}
    if made is not None:
        arrays[name] = made
    if metadata and draw.random() < 0.2:
        metadata = dict(zip(metadata, ["{}", "[]", '{"level_sizes": 3}'], strict=False))
    artifacts.save_arrays(path, arrays, metadata)
    return f"{name} {change}"


def attempts(folders: list[str]) -> None:
    """In a child: check, load, open, ask and serve each folder, and write down beside it what happened."""
    from retrograd.server import run

    async def unserved(*_: Any) -> None:
        """In the place of a server that would stay."""

    run._serve = unserved
    gc.freeze = lambda: None  # type: ignore[assignment]
    seen: list[str] = []
    sys.addaudithook(lambda event, _: seen.append(event) if event.startswith(MARKERS) else None)
    for folder in folders:
        seen.clear()
        report = _attempt(Path(folder))
        report["faults"] += seen
        artifacts.write_json(Path(folder).with_name(RESULT), report)


def _attempt(path: Path) -> dict[str, Any]:
    from retrograd.server import run

    faults: list[str] = []
    report: dict[str, Any] = {"faults": faults}
    verbs: dict[str, Callable[[], Any]] = {
        "check": lambda: check_system(path),
        "load": lambda: _answers(System.load(path)),
        "open": lambda: _opened(path),
        "serve": lambda: run.serve({"hostile": path}, run.Options(port=0)),
    }
    for verb, act in verbs.items():
        try:
            report[verb] = act()
        except RetrogradError as error:
            report[f"{verb} refused"] = str(error)
            if len(str(error).splitlines()) > 1 or len(str(error)) > LONGEST_LINE:
                faults.append(f"{verb}: an error of {len(str(error))} characters")
        except BaseException as error:
            faults.append(f"{verb}: {type(error).__name__}: {str(error)[:200]} {place_of(error)}")
    return report


def _answers(system: System) -> list[list[str]]:
    return list(system.search(QUESTIONS, k=5).documents().values())


def _opened(path: Path) -> list[list[str]]:
    with LiveSystem.open(path) as live:
        return _answers(live.system)


def hostile_folders(
    sound: Sequence[Path], tampered_times: int, *, seed: int = 0, every: int = 1, only: str = ""
) -> HostileReport:
    """Attack copies of systems.

    Args:
        sound: a lexical, a dense and a generative system.
        tampered_times: random changes, by turns on each of them.
        every: of the fixed attacks only one in so many, other ones for another seed.
        only: attacks whose name holds this.
    """
    by_name = {folder.name: folder for folder in sound}
    planned = [
        ("lexical" if "lexical" in attack.name else "generative", attack)
        for attack in list(attacks())[seed % every :: every]
    ]
    for number in range(tampered_times):
        draw = np.random.default_rng([seed, number])
        attack = Attack(f"random {seed} {number}", lambda folder, _, d=draw: tampered(folder, d), sealed=True)
        planned.append((sorted(by_name)[number % len(by_name)], attack))
    planned = [(key, attack) for key, attack in planned if only in attack.name]
    honest = {key: _answers(System.load(folder)) for key, folder in by_name.items()}
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        tries = [
            Try(key, attack, Path(name) / str(at), honest[key]) for at, (key, attack) in enumerate(planned)
        ]
        for one in tries:
            one.prepare(by_name[one.key])
        left = tries
        while left:
            child = start(attempts, [str(one.folder) for one in left])
            left = _watched(child, left)
        accepted = sum(one.opened for one in tries)
        faults += [line for one in tries for line in one.faults()]
    return HostileReport(len(tries), accepted, tuple(faults))


def _watched(child: Any, left: list[Try]) -> list[Try]:
    """Wait for a child; the tries behind the one in which it hung or died."""
    for at, one in enumerate(left):
        until = time.monotonic() + SECONDS
        while not one.result.exists() and time.monotonic() < until and child.exitcode is None:
            child.join(0.02)
        if not one.result.exists():
            one.ended = "hangs" if child.exitcode is None else f"the child died ({child.exitcode})"
            child.kill()
            child.join()
            return left[at + 1 :]
    child.join()
    return []


@dataclass
class Try:
    """One attack on one copy."""

    key: str
    attack: Attack
    here: Path
    honest: Any
    said: str = ""
    ended: str = ""
    """How the child ended before it could say anything."""

    before: Any = None

    @property
    def folder(self) -> Path:
        """The copy."""
        return self.here / "system"

    @property
    def result(self) -> Path:
        """What the child says."""
        return self.here / RESULT

    @property
    def opened(self) -> bool:
        """Whether it was accepted."""
        return "load" in self._report()

    def prepare(self, sound: Path) -> None:
        """Copy and tamper."""
        shutil.copytree(sound, self.folder)
        (self.here / "outside").mkdir()
        (self.here / "outside" / "secret").write_text("secret")
        self.said = self.attack.tamper(self.folder, self.here / "outside") or ""
        self.before = _state(self.here / "outside")

    def _report(self) -> dict[str, Any]:
        return artifacts.read_json(self.result) if self.result.exists() else {}

    def faults(self) -> list[str]:
        """What does not hold."""
        report = self._report()
        found = [*([self.ended] if self.ended else []), *report.get("faults", ())]
        if _state(self.here / "outside") != self.before:
            found.append("what lies outside has changed")
        if report and not self.attack.sealed:
            if not report.get("check"):
                found.append("check reports nothing")
            if report.get("load", self.honest) != self.honest:
                found.append("it answers otherwise")
        return [f"{self.key}: {self.attack.name} {self.said}: {line}" for line in found]


def _state(outside: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.relative_to(outside).as_posix(): (
            path.read_bytes() if path.is_file() else b"",
            path.lstat().st_mtime_ns,
        )
        for path in [outside, *sorted(outside.rglob("*"))]
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--tampered", type=int, default=300, help="random changes, beside every fixed attack")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="attacks whose name holds this")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        sound = changed_systems(Path(name))
        report = hostile_folders(sound, arguments.tampered, seed=arguments.seed, only=arguments.only)
    print(f"{report.attempts} folders, {report.accepted} opened, {len(report.faults)} faults")
    raise SystemExit("\n".join(report.faults) or 0)


if __name__ == "__main__":
    main()
