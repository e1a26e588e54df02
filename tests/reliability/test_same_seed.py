"""Promise 20: the same seed gives the same run file, byte for byte, whatever process it comes from."""

import os
import subprocess
import sys

import pytest

from tests.house.tree import ROOT

RECIPES = ("bm25", "dense", "generative")
PROGRAM = """
import sys
from pathlib import Path
from retrograd.cli.door import main
from retrograd.data.dataset import load_dataset
from retrograd.recipes import recipe
from retrograd.training.fit import fit
from tests.small_systems import small

data, out, names, *seeds = sys.argv[1:]
for seed in seeds:
    for name in names.split():
        folder = fit(small(recipe(name)), load_dataset(data), Path(out) / seed / name, seed=int(seed)).folder
        run = Path(out) / seed / f"{name}.trec"
        assert main(["search", str(folder), "--queries", f"{data}/queries.jsonl", "--run", str(run)]) == 0
"""


def run_files(data, out, *seeds, hash_seed):
    """For each seed, recipe -> bytes of the run, all from one process."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(data), str(out), " ".join(RECIPES), *map(str, seeds)],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": str(hash_seed), "RETROGRAD_CACHE": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [{name: (out / str(seed) / f"{name}.trec").read_bytes() for name in RECIPES} for seed in seeds]


@pytest.fixture(scope="module")
def first(tiny_data, tmp_path_factory):
    return run_files(tiny_data, tmp_path_factory.mktemp("seed"), 0, 1, hash_seed=1)


def test_another_process_writes_the_same_runs(first, tiny_data, tmp_path):
    (again,) = run_files(tiny_data, tmp_path, 0, hash_seed=2)
    assert [name for name in RECIPES if again[name] != first[0][name]] == []
    assert all(run.count(b"\n") > 20 for run in again.values())


def test_another_seed_writes_another_run_where_anything_is_drawn(first):
    assert {name for name in RECIPES if first[0][name] == first[1][name]} == {"bm25", "dense"}
