"""The commands and their options, as `retrograd --help` shows them.

Each command imports what it does when it is called: parsing must cost nothing. They stand here in the order
of the help.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from retrograd.cli.verbs import asking, changing, fitting, recipes

app = typer.Typer(
    name="retrograd",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
recipes_app = typer.Typer(rich_markup_mode=None, help="List, show, compare and cite the named systems.")
app.add_typer(recipes_app, name="recipes")


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Fit, search and compare retrieval systems, from BM25 to models that generate document ids.

    \b
    Start here:
      retrograd demo
      retrograd fit generative --data DIR --out my-system
      retrograd search my-system "your question"
      retrograd eval my-system --data DIR --split dev
    """
    if version:
        from retrograd import __version__

        typer.echo(__version__)
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


COMMANDS: dict[str, Callable[..., None]] = {
    "fit": fitting.fit,
    "search": asking.search,
    "add": changing.add,
    "update": changing.update,
    "delete": changing.delete,
    "history": changing.history,
    "rollback": changing.rollback,
    "eval": asking.evaluate,
    "diagnose": asking.diagnose,
    "serve": asking.serve,
    "check": fitting.check,
    "demo": fitting.demo,
}
RECIPE_COMMANDS: dict[str, Callable[..., None]] = {
    "list": recipes.list_recipes,
    "show": recipes.show_recipe,
    "diff": recipes.diff_recipes,
    "cite": recipes.cite_recipe,
}
for name, command in COMMANDS.items():
    app.command(name)(command)
for name, command in RECIPE_COMMANDS.items():
    recipes_app.command(name)(command)
