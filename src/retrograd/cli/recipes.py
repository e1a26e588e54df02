"""`retrograd recipes`: list, show, compare and cite the named systems."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import Any

from retrograd.cli.show import console
from retrograd.recipe import differences, to_json


def list_command() -> None:
    """A table of all recipes."""
    from rich import box
    from rich.table import Table

    from retrograd.recipes import RECIPES

    grid = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("recipe", "what it does", "docids", "stages", "search"):
        grid.add_column(heading, no_wrap=heading == "recipe")
    for name, make in RECIPES.items():
        recipe = make()
        stages = " > ".join(stage.name for stage in recipe.stages)
        grid.add_row(name, recipe.summary, part_name(recipe.docids), stages or "-", part_name(recipe.search))
    console().print(grid)


def part_name(part: Any) -> str:
    """The class of a part, and of the parts it joins.

    >>> part_name(None)
    '-'
    """
    if not is_dataclass(part):
        return "-"
    inner = [value for field in fields(part) for value in _parts(getattr(part, field.name))]
    name = type(part).__name__
    return f"{name}({', '.join(part_name(value) for value in inner)})" if inner else name


def _parts(value: Any) -> list[Any]:
    if isinstance(value, tuple):
        return [item for item in value if is_dataclass(item)]
    return [value] if is_dataclass(value) else []


def show_command(name: str) -> None:
    """Every field as `path = value`, in the paths that `--set` takes."""
    from retrograd.recipes import recipe

    for path, value in flat(to_json(recipe(name))):
        print(f"{path} = {json.dumps(value)}")


def flat(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """(dotted path, leaf) of a tree of JSON values, in order.

    >>> flat({"a": 1, "b": [{"kind": "C", "d": 2}]})
    [('a', 1), ('b.0.kind', 'C'), ('b.0.d', 2)]
    """
    if isinstance(value, dict | list) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for key, inner in items for leaf in flat(inner, f"{path}.{key}".lstrip("."))]
    return [(path, value)]


def diff_command(one: str, two: str) -> None:
    """The differing fields, old beside new."""
    from rich import box
    from rich.table import Table

    from retrograd.recipes import recipe

    grid = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("field", one, two):
        grid.add_column(heading, overflow="fold")
    for path, left, right in differences(recipe(one), recipe(two)):
        grid.add_row(path, value_text(left), value_text(right))
    console().print(grid if grid.rows else "the two recipes are the same")


def value_text(value: Any) -> str:
    """A config or value as it would be written in Python, defaults left out.

    >>> from retrograd.recipe import Mix
    >>> value_text((Mix(source=None), Mix(source="x", weight=2.0)))
    "(Mix(source=None), Mix(source='x', weight=2.0))"
    """
    if is_dataclass(value) and not isinstance(value, type):
        told = [f for f in fields(value) if getattr(value, f.name) != f.default]
        inside = ", ".join(f"{f.name}={value_text(getattr(value, f.name))}" for f in told)
        return f"{type(value).__name__}({inside})"
    if isinstance(value, tuple):
        return f"({', '.join(value_text(item) for item in value)})"
    return repr(value)


def cite_command(name: str) -> None:
    """BibTeX entries, parents first."""
    from retrograd.recipes import recipe
    from retrograd.recipes.bibliography import BIBTEX

    print("\n\n".join(BIBTEX[key] for key in recipe(name).cites))
