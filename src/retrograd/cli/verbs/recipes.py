"""Commands about recipes."""

from __future__ import annotations

from typing import Annotated

import typer

from retrograd.cli.verbs.arguments import Name


def list_recipes() -> None:
    """One line per recipe."""
    from retrograd.cli.recipes import list_command

    list_command()


def show_recipe(name: Name) -> None:
    """Every field of a recipe; each path can be given to `retrograd fit --set`.

    \b
    Example:
      retrograd recipes show generative
    """
    from retrograd.cli.recipes import show_command

    show_command(name)


def diff_recipes(
    one: Annotated[str, typer.Argument(metavar="A", help="A recipe.")],
    two: Annotated[str, typer.Argument(metavar="B", help="Another.")],
) -> None:
    """The fields in which two recipes differ.

    \b
    Example:
      retrograd recipes diff dsi_semantic dsi_qg
    """
    from retrograd.cli.recipes import diff_command

    diff_command(one, two)


def cite_recipe(name: Name) -> None:
    """BibTeX of the papers a recipe stands on.

    \b
    Example:
      retrograd recipes cite dsi_qg
    """
    from retrograd.cli.recipes import cite_command

    cite_command(name)
