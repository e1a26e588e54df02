"""Commands that make a system or look at its files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from retrograd.cli.verbs.arguments import Cut, Data, Interactions, Requests, Threads


def fit(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe, see `retrograd recipes list`.")],
    data: Data,
    out: Annotated[Path, typer.Option("--out", metavar="SYSTEM", help="Folder the system is written to.")],
    train_split: Annotated[str, typer.Option(help="Judgements to learn from.")] = "train",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change one field of the recipe; repeat for more."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same system.")] = 0,
    requests: Requests = False,
    interactions: Interactions = None,
    cut: Cut = "last",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoints of an interrupted fit.")
    ] = False,
    threads: Threads = 0,
) -> None:
    """Fit a recipe on a dataset and save the system.

    A system that stands at --out is replaced in one step and kept as SYSTEM.previous.

    \b
    Examples:
      retrograd fit bm25 --data DIR --out bm25-system
      retrograd fit generative --data DIR --out my-system --seed 1
      retrograd fit generative --data DIR --out my-system --set search.width=50 --set stages.0.max_steps=500
      retrograd fit dgi_requests --data DIR --requests --out my-system
      retrograd fit transition_knn --data DIR-OF-INTERACTIONS --out my-recommender
      retrograd fit search_and_recommendation --data DIR --requests --interactions FILE --out my-system
    """
    from retrograd.cli.fit import fit_command

    fit_command(
        recipe,
        data,
        out,
        train_split,
        settings or [],
        seed,
        requests=requests,
        interactions=interactions,
        cut=cut,
        resume=resume,
        threads=threads,
    )


def check(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a fitted system.")]) -> None:
    """Verify every file of a saved system.

    Names those that are damaged, missing or foreign.

    \b
    Example:
      retrograd check my-system
    """
    from retrograd.cli.check import check_command

    check_command(folder)


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the three systems are kept.")] = Path(
        "retrograd-demo"
    ),
    threads: Threads = 0,
) -> None:
    """Fit and compare three systems on a sample.

    The sample and the text encoder are on this machine: no network is needed.

    \b
    Example:
      retrograd demo
    """
    from retrograd.cli.demo import demo_command

    demo_command(out, threads=threads)
