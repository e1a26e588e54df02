"""Pages made from the code while the documentation is built: no fact stands in two places.

A mkdocs hook. Recipes, measures, options and the API come from the objects themselves; the quick
start is the README.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"


def on_files(files: Files, config: Any) -> Files:
    """Add every generated page to the site."""
    for path, text in pages():
        files.append(File.generated(config, path, content=text))
    return files


def pages() -> Iterator[tuple[str, str]]:
    """(path below docs/, Markdown) of each generated page."""
    makers: dict[str, Callable[[], str]] = {
        "quick_start.md": quick_start,
        "recipes.md": recipes,
        "measures.md": measures,
        "command_line.md": command_line,
        "reference/index.md": reference_index,
    }
    yield from ((path, make()) for path, make in makers.items())
    for name in module_names():
        options = "    options:\n      show_root_heading: false\n"
        yield f"reference/{name}.md", f"# {name}\n\n::: {name}\n{options}"


def quick_start() -> str:
    """The README's sections on first use."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    sections = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    wanted = (
        "## Two commands",
        "## A first answer",
        "## The same from",
        "## What bad input",
        "## How to add",
    )
    return "# Quick start\n\n" + "".join(section for section in sections if section.startswith(wanted))


def recipes() -> str:
    """Each recipe with its summary, its parts and its papers."""
    from retrograd.cli.recipes import value_text
    from retrograd.recipes import RECIPES
    from retrograd.recipes.bibliography import BIBTEX

    made = {name: make() for name, make in RECIPES.items()}
    rows = "".join(f"| [`{name}`](#{name}) | {recipe.summary} |\n" for name, recipe in made.items())
    lines = [
        "# Recipes\n\nA recipe is six choices and nothing else.\n",
        f"| recipe | what it does |\n|---|---|\n{rows}",
    ]
    for name, recipe in made.items():
        stages = "; then ".join(f"`{value_text(stage)}`" for stage in recipe.stages) or "none"
        lines.append(
            f"## {name}\n\n{RECIPES[name].__doc__}\n\n- docids: `{value_text(recipe.docids)}`\n"
            f"- model: `{value_text(recipe.model)}`\n- stages: {stages}\n"
            f"- search: `{value_text(recipe.search)}`\n"
        )
        lines += [f"```bibtex\n{BIBTEX[key]}\n```\n" for key in recipe.cites]
    return "\n".join(lines)


def measures() -> str:
    """The names of measures and what the code says of them."""
    from retrograd.evaluation import measures as module

    default = ", ".join(f"`{name}`" for name in module.DEFAULT_MEASURES)
    names = "".join(f"- `{name}`\n" for name in module.EXAMPLES)
    head = f"# Measures\n\nNames and values are those of ir-measures. Shown by default: {default}.\n\n"
    return f"{head}{names}\n::: retrograd.evaluation.measures.evaluate\n"


def command_line() -> str:
    """`--help` of every command."""
    from typer.testing import CliRunner

    from retrograd.cli.app import app, recipes_app

    found = [[], *([_name(c)] for c in app.registered_commands)]
    found += [["recipes", _name(c)] for c in recipes_app.registered_commands]
    runner = CliRunner()
    texts = ((words, runner.invoke(app, [*words, "--help"], prog_name="retrograd").output) for words in found)
    return "# Command line\n\n" + "\n".join(
        f"## {' '.join(['retrograd', *words])}\n\n```text\n{text.strip()}\n```\n" for words, text in texts
    )


def _name(command: Any) -> str:
    return str(command.name or command.callback.__name__)


def reference_index() -> str:
    """Every module with the first line of its docstring."""
    rows = "".join(f"| [`{name}`]({name}.md) | {first_line(name)} |\n" for name in module_names())
    head = f"# API\n\nPublic names of `import retrograd`: {public_names()}.\n\n"
    return f"{head}| module | what it is for |\n|---|---|\n{rows}"


def public_names() -> str:
    """What `retrograd.NAME` offers."""
    import retrograd

    return ", ".join(f"`{name}`" for name in retrograd.__all__)


def module_names() -> list[str]:
    """Dotted names of all modules, packages included."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        if parts[-1] != "__main__":
            found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


def first_line(name: str) -> str:
    """The first line of a module's docstring."""
    path = SOURCE.joinpath(*name.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].replace("|", "\\|")


if __name__ == "__main__":
    print(json.dumps([path for path, _ in pages()], indent=2))
