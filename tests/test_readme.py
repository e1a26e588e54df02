"""Every command and every line of Python in the README runs, on forty documents and four training steps."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import retrograd
from tests.cli.tiny import TINY, shrink
from tests.house.tree import ROOT, SRC

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"^([a-z]+):", re.MULTILINE)


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return [text for name, text in BLOCK.findall(README) if name == language]


def commands() -> list[str]:
    """Every line of every bash block."""
    return [line for block in blocks("bash") for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.splitlines()[0])
def test_python_runs(block, monkeypatch, tmp_path, tiny_data, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(retrograd, "sample_path", lambda name: tiny_data, raising=False)
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip()
    assert len([line for line in block.splitlines() if line.strip()]) < 10


def test_commands_run_in_order(cli, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for line in commands():
        words = shlex.split(line)
        if words[0] == "cp":
            copy_and_shrink(line, Path(words[-1]))
        elif words[0] == "printf":
            subprocess.run(["bash", "-c", line], check=True, stdin=subprocess.DEVNULL)
        elif words[0] == "retrograd":
            done = cli(*words[1:], *small(words))
            assert done.code == 0, f"{line}\n{done.err}"
            assert done.out.strip(), line
    made = {path.name for path in tmp_path.iterdir()}
    assert {"my-data", "my-system", "wide-system", "table.md", "table.png", "runs", "my-system.trec"} <= made


def copy_and_shrink(line: str, folder: Path) -> None:
    """Run the README's copy of the sample, then keep forty documents of it."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(SRC)}
    subprocess.run(["bash", "-c", line], check=True, stdin=subprocess.DEVNULL, env=environment)
    full = folder.rename(folder.with_name("full"))
    shrink(full, folder)
    (folder / "queries.jsonl").unlink()
    (folder / "queries.jsonl.gz").write_bytes((full / "queries.jsonl.gz").read_bytes())


def small(words: list[str]) -> list[str]:
    """Settings that make a generative fit take a second."""
    trains = words[1] == "fit" and words[2] != "bm25"
    return [part for setting in TINY for part in ("--set", setting)] if trains else []


def test_make_targets_exist():
    targets = set(TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    named = set(re.findall(r"`?make ([a-z]+)", README))
    assert named <= targets, f"the README names {named - targets}, the Makefile has none of these"


def test_every_command_line_is_one_the_test_knows_how_to_run():
    assert {shlex.split(line)[0] for line in commands()} == {"make", "cp", "printf", "retrograd"}
