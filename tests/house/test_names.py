"""No paper's system name below `recipes/`: a part is named for what it does, not for who used it first."""

import ast
import itertools
import re

from tests.house.test_floors import FLOOR_OF, TOP
from tests.house.tree import Module, complaints, modules

SYSTEMS = (
    "dsi", "nci", "ultron", "seal", "minder", "ltrgr", "genre", "genret", "glen", "ripor", "pag", "dome",
    "zerogr", "dgi", "tiger", "letter", "liger", "rpg", "colarec", "gensr", "gems", "mo_dit", "modit",
    "corpusbrain", "diger", "actionpiece", "hppo", "lcrec", "eager",
)  # fmt: skip
ENGLISH = {"letter", "eager", "genre", "seal", "tiger"}
"""Also ordinary words: they count in the names of files, classes and functions, not in text and variables."""

WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def named_systems(module: Module) -> list[str]:
    """Paper names in the file's name, in what it defines, in its variables and in its strings."""
    if FLOOR_OF.get(module.part, TOP) >= FLOOR_OF["recipes"]:
        return []
    found = [f"{module.name}: the file" for _ in _systems(module.name, SYSTEMS)]
    docstrings = {id(node.value) for node in ast.walk(module.tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(module.tree):
        strict = (
            SYSTEMS
            if isinstance(node, ast.ClassDef | ast.FunctionDef)
            else [s for s in SYSTEMS if s not in ENGLISH]
        )
        for text in _texts(node):
            if id(node) not in docstrings and _systems(text, strict):
                found.append(f"{module.at(node)}: {text[:60]!r}")
    return [
        f"{line} carries a paper's system name: say what it does; papers are cited in docstrings"
        for line in found
    ]


def _texts(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    return [
        text
        for text in (getattr(node, key, None) for key in ("name", "id", "attr", "arg", "asname"))
        if isinstance(text, str)
    ]


def _systems(text: str, names: tuple[str, ...] | list[str]) -> list[str]:
    words = [word.lower() for word in WORDS.findall(text)]
    pairs = [f"{one}_{two}" for one, two in itertools.pairwise(words)]
    return [name for name in names if name in words or name in pairs]


def test_no_system_is_named_below_recipes():
    found = [line for module in modules() for line in named_systems(module)]
    assert not found, complaints(found)


def test_a_name_is_caught_in_a_file_a_class_a_variable_and_a_string():
    assert named_systems(Module("retrograd.models.ripor", ""))
    assert named_systems(Module("retrograd.models.bad", "class DSIModel: ..."))
    assert named_systems(Module("retrograd.models.bad", "class GenreDecoder: ..."))
    assert named_systems(Module("retrograd.models.bad", "nci_width = 3"))
    assert named_systems(Module("retrograd.models.bad", "def f(mo_dit): ..."))
    assert named_systems(Module("retrograd.models.bad", "x = f('glen-style')"))


def test_citations_and_ordinary_words_are_free():
    assert not named_systems(
        Module("retrograd.models.good", '"""As in DSI (Tay et al.)."""\n# NCI does this too\n')
    )
    assert not named_systems(
        Module("retrograd.models.good", "def f(genre, letter): return 'a letter of the page'")
    )
    assert not named_systems(Module("retrograd.recipes.dsi", "def dsi_qg(): ..."))
