"""The public API: every name is there, lazily, and an unknown one is named."""

import importlib
import subprocess
import sys

import pytest

import retrograd
from tests.house.tree import SRC


def test_every_public_name_is_there_whatever_was_imported_before():
    importlib.import_module("retrograd.recipe")
    for name in retrograd.__all__:
        assert getattr(retrograd, name) is not None
    assert callable(retrograd.recipes.recipe)
    assert retrograd.load == retrograd.System.load
    assert set(dir(retrograd)) == set(retrograd.__all__)


def test_no_public_name_is_shadowed_by_a_module_of_that_name():
    for name in retrograd.__all__:
        value = getattr(retrograd, name)
        module = sys.modules.get(f"retrograd.{name}")
        assert module is None or value is module, (
            f"retrograd.{name} is a module too: importing it changes the API"
        )


def test_type_checkers_see_the_names_that_exist():
    text = (SRC / "retrograd" / "__init__.py").read_text(encoding="utf-8")
    block = text.split("if TYPE_CHECKING:", 1)[1].split("__version__", 1)[0]
    seen = {line.split(" as ")[-1].strip() for line in block.splitlines() if " as " in line} | {"load"}
    assert seen == set(retrograd.__all__) - {"__version__"}


def test_an_unknown_name_is_an_error_that_lists_the_known_ones():
    with pytest.raises(AttributeError, match="load_dataset"):
        _ = retrograd.nothing


def test_data_nouns_need_no_torch():
    program = (
        "import retrograd, sys; retrograd.Document; retrograd.load_dataset; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": str(SRC)})
