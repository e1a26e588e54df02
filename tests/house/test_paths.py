"""The tree works on any machine: no path of one of them stands in it, and no file is huge."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.house.tree import ROOT, complaints

OF_ONE_MACHINE = re.compile(r"(?<![\w.~])/(?:(?:tmp|work|root|mnt)\b|home/[a-z]|Users/[A-Z])")
LARGEST = 4_000_000
TEXT = {".py", ".md", ".toml", ".yml", ".yaml", ".json", ".cfg", ".sh", ".css", ".js", ".html", ".tsv", ""}


def paths_in(text: str) -> list[str]:
    """Lines that name a path of one machine."""
    return [line.strip() for line in text.splitlines() if OF_ONE_MACHINE.search(line)]


def tree_files() -> list[Path]:
    """What git tracks, and what it would take in."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout: the files that belong to the tree are not known")
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in files if path.is_file()]


def test_no_path_of_one_machine_stands_in_the_tree():
    readable = [p for p in tree_files() if p.suffix in TEXT and p.name != "LICENSE"]
    found = [
        f"{path.relative_to(ROOT)}: {line}" for path in readable for line in paths_in(path.read_text("utf-8"))
    ]
    assert not found, "take a folder from an argument, an environment variable or tmp_path:" + complaints(
        found
    )


def test_no_file_is_larger_than_a_checkout_should_carry():
    found = [str(path.relative_to(ROOT)) for path in tree_files() if path.stat().st_size > LARGEST]
    assert not found, "keep large files out of git:" + complaints(found)


def test_a_machine_path_is_caught_and_a_relative_one_is_not():
    for line in ("x = '|tmp|a'", "see |home|ann|data", "cd |work|main", "|root|.cache"):
        assert paths_in(line.replace("|", "/")), line
    for line in ("a|tmp|b", "..|shared|data", "https:||example.org|home", "~|.cache", "|usr|bin|env bash"):
        assert not paths_in(line.replace("|", "/")), line
