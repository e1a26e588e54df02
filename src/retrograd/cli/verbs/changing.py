"""Commands that change the documents of a system."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from retrograd.cli.verbs.arguments import Changes, Json, System, Threads


def add(
    system: System,
    data: Changes,
    skip_known: Annotated[
        bool, typer.Option("--skip-known", help="Leave out documents whose ids the system holds already.")
    ] = False,
    train: Annotated[
        bool,
        typer.Option("--train", help="Then train the network on them for a few steps; minutes, not seconds."),
    ] = False,
    as_json: Json = False,
    threads: Threads = 0,
) -> None:
    """Put new documents into a fitted system.

    They can be found when the command ends; ids of documents already there never change.

    \b
    Examples:
      retrograd add my-system --data new.jsonl
      retrograd add my-system --data new.jsonl.gz --skip-known
      retrograd add my-system --data new.jsonl --train
      cat new.jsonl | retrograd add my-system --data -
    """
    from retrograd.cli.updates import add_command

    add_command(system, data, skip_known=skip_known, train=train, as_json=as_json, threads=threads)


def update(system: System, data: Changes, as_json: Json = False, threads: Threads = 0) -> None:
    """Replace documents of a fitted system by newer ones of the same ids.

    \b
    Example:
      retrograd update my-system --data changed.jsonl
    """
    from retrograd.cli.updates import update_command

    update_command(system, data, as_json=as_json, threads=threads)


def delete(
    system: System,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="FILE", help="Ids: one per line, or those of a .jsonl[.gz]; - reads stdin."
        ),
    ] = None,
    ids: Annotated[
        list[str] | None, typer.Option("--id", metavar="ID", help="One document; repeat for more.")
    ] = None,
    as_json: Json = False,
    threads: Threads = 0,
) -> None:
    """Take documents out of a fitted system.

    They are never answered again, unless a rollback brings them back.

    \b
    Examples:
      retrograd delete my-system --id 17 --id 42
      retrograd delete my-system --data gone.txt
    """
    from retrograd.cli.updates import delete_command

    delete_command(system, data, ids or [], as_json=as_json, threads=threads)


def history(system: System, as_json: Json = False) -> None:
    """List what happened to a system since it was fitted, newest first.

    \b
    Example:
      retrograd history my-system
    """
    from retrograd.cli.updates import history_command

    history_command(system, as_json=as_json)


def rollback(
    system: System,
    to: Annotated[
        int | None,
        typer.Option("--to", min=0, metavar="N", help="A generation of `retrograd history`; 0 is as fitted."),
    ] = None,
    as_json: Json = False,
    threads: Threads = 0,
) -> None:
    """Bring back the documents of an earlier generation.

    By default of the one before; called again, of the one before that. Nothing is lost by it: a rollback is
    one more generation, and any other can be named with --to.

    \b
    Examples:
      retrograd rollback my-system
      retrograd rollback my-system --to 0
    """
    from retrograd.cli.updates import rollback_command

    rollback_command(system, to, as_json=as_json, threads=threads)
