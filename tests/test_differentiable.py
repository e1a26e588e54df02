"""The public door: every name is there, none loads anything before it is used."""

import subprocess
import sys

import pytest

from retrograd import differentiable
from tests.house.tree import SRC


def test_every_public_name_is_its_own():
    assert set(differentiable._HOME) == set(differentiable.__all__) == set(dir(differentiable))
    for name in differentiable.__all__:
        assert getattr(differentiable, name).__name__ == name
    with pytest.raises(AttributeError, match="it has LSH, Cached"):
        _ = differentiable.Nothing


def test_importing_it_loads_no_torch():
    program = "import retrograd.differentiable, sys; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(SRC)},
    )
    assert done.stdout.strip() == "False"
