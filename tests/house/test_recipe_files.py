"""A recipe only picks: whoever reads it sees six choices, not a program."""

import ast

from tests.house.tree import Module, complaints, modules

LONGEST = 40
STEERING = (
    ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.With, ast.Match,
    ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda,
)  # fmt: skip


def not_only_picks(module: Module) -> list[str]:
    """Classes, loops, branches and long functions in a recipe file."""
    found = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef):
            found.append(
                f"{module.at(node)} defines class {node.name}: put it on its own floor and pick it here"
            )
        elif isinstance(node, STEERING):
            kind = type(node).__name__
            found.append(f"{module.at(node)} holds a {kind}: a recipe is a value; make it a field of a part")
        elif isinstance(node, ast.FunctionDef) and _length(node) > LONGEST:
            found.append(
                f"{module.at(node)} {node.name} has {_length(node)} lines, more than {LONGEST}: derive it "
                "from a parent with dataclasses.replace"
            )
    return found


def _length(node: ast.FunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def recipe_files() -> list[Module]:
    """Everything in `recipes/` but its table."""
    return [module for module in modules() if module.part == "recipes" and module.name != "retrograd.recipes"]


def test_recipe_files_only_pick():
    found = [line for module in recipe_files() for line in not_only_picks(module)]
    assert not found, complaints(found)


def test_there_are_recipe_files_to_look_at():
    assert recipe_files()


def test_a_module_a_loop_a_branch_and_a_long_recipe_are_caught():
    for text in (
        "class Decoder(nn.Module):\n    pass\n",
        "def a():\n    for x in y:\n        pass\n",
        "def a():\n    return 1 if b else 2\n",
        "def a():\n    return [x for x in y]\n",
        "def a():\n" + "    x = 1\n" * LONGEST,
    ):
        assert not_only_picks(Module("retrograd.recipes.bad", text)), text
    assert not not_only_picks(Module("retrograd.recipes.good", "def a():\n" + "    x = 1\n" * (LONGEST - 1)))
