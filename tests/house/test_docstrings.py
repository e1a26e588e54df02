"""Whoever opens a file reads why it exists; whoever calls a function reads what it promises."""

import ast
from collections.abc import Iterator

from tests.house.tree import Module, complaints, modules

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def undocumented(module: Module) -> list[str]:
    """The module, and each public class, function and method, that has no docstring."""
    found = []
    if ast.get_docstring(module.tree) is None:
        found.append(
            f"{module.name}:1: say in the first line what the module is for and what it refuses to know"
        )
    for node in _public(module.tree.body):
        if ast.get_docstring(node) is None:
            found.append(
                f"{module.at(node)} {node.name}: say what it promises (shapes, errors), or start it with _"
            )
    return found


def _public(body: list[ast.stmt]) -> Iterator[Definition]:
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_") and not _is_overload(node):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node.body)


def _is_overload(node: Definition) -> bool:
    return any(ast.unparse(decorator).endswith(("overload", ".setter")) for decorator in node.decorator_list)


def test_everything_public_says_what_it_is_for():
    found = [line for module in modules() for line in undocumented(module)]
    assert not found, complaints(found)


def test_a_silent_module_function_class_and_method_are_caught():
    assert undocumented(Module("retrograd.a.b.bad", ""))
    for text in ("def f(): ...", "class A: ...", 'class A:\n    """Says."""\n    def f(self): ...'):
        assert undocumented(Module("retrograd.bad", f'"""Says."""\n{text}')), text
    assert not undocumented(Module("retrograd.good", '"""Says."""\ndef _private(): ...'))
