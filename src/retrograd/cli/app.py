"""The commands and their options, as `retrograd --help` shows them.

Each command imports what it does when it is called: parsing must cost nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="retrograd",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
recipes_app = typer.Typer(rich_markup_mode=None, help="List, show, compare and cite the named systems.")
app.add_typer(recipes_app, name="recipes")

System = Annotated[Path, typer.Argument(metavar="SYSTEM", help="Folder of a fitted system.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A recipe, see `retrograd recipes list`.")]
Requests = Annotated[
    bool,
    typer.Option(
        "--requests", help="Take the rows of search_log.tsv as queries, each with what its asker took before."
    ),
]
Data = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="Dataset folder, for example in BEIR's layout.")
]
Threads = Annotated[int, typer.Option(min=0, help="Processor threads; 0 leaves the choice to torch.")]


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


@app.command()
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
        resume=resume,
        threads=threads,
    )


@app.command()
def search(
    system: System,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="The question.", show_default=False)
    ] = None,
    k: Annotated[int | None, typer.Option("-k", help="Answers per query.", show_default="10")] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show the generated docid behind each answer.")
    ] = False,
    queries: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Many queries: TREC topics, id<TAB>text, or .jsonl.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write their answers, a TREC run.")
    ] = None,
    threads: Threads = 0,
) -> None:
    """Ask a fitted system.

    \b
    Examples:
      retrograd search my-system "estimate depth from one image"
      retrograd search my-system "estimate depth from one image" -k 3 --explain
      retrograd search my-system --queries topics.tsv --run my-system.trec -k 100
    """
    from retrograd.cli.search import search_command, search_file_command
    from retrograd.errors import InputError

    if (text is None) == (queries is None):
        raise InputError("give either TEXT or --queries FILE")
    if (queries is None) != (run is None):
        raise InputError("--queries FILE and --run FILE go together")
    if queries is not None and run is not None:
        search_file_command(system, queries, run, k, threads=threads)
    else:
        search_command(system, text or "", k, explain=explain, threads=threads)


@app.command(name="eval")
def evaluate(
    systems: Annotated[list[Path], typer.Argument(metavar="SYSTEM...", help="Folders of fitted systems.")],
    data: Data,
    split: Annotated[str, typer.Option(help="Judgements to measure by.")] = "dev",
    measures: Annotated[
        str, typer.Option(help="Names as in ir-measures, comma-separated.")
    ] = "nDCG@10,R@10,R@100,RR@10",
    k: Annotated[int | None, typer.Option("-k", help="Answers per query.", show_default="100")] = None,
    baseline: Annotated[
        str | None,
        typer.Option(metavar="SYSTEM", help="The one the others are tested against (default: the first)."),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the table as Markdown.")
    ] = None,
    png: Annotated[Path | None, typer.Option(metavar="FILE", help="Also draw the comparison.")] = None,
    run_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write each system's TREC run.")
    ] = None,
    requests: Requests = False,
    threads: Threads = 0,
) -> None:
    """Measure systems side by side.

    The table shows paired significance tests against a baseline, latency, memory and size.

    \b
    Examples:
      retrograd eval bm25-system my-system --data DIR --split dev
      retrograd eval bm25-system my-system --data DIR --baseline bm25-system --markdown t.md --png t.png
    """
    from retrograd.cli.evaluate import Outputs, eval_command

    outputs = Outputs(markdown=markdown, png=png, run_dir=run_dir)
    eval_command(
        systems, data, split, measures.split(","), k, baseline, outputs, requests=requests, threads=threads
    )


@app.command()
def diagnose(
    data: Data,
    system: Annotated[
        Path | None, typer.Argument(metavar="SYSTEM", help="Folder of a fitted system.", show_default=False)
    ] = None,
    run: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Instead of a system: any TREC run file.")
    ] = None,
    split: Annotated[str, typer.Option(help="Judgements to look by.")] = "dev",
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Also write the figures as JSON and PNG plots.")
    ] = None,
    popularity: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="How often documents are taken: id<TAB>count, or interactions."),
    ] = None,
    k: Annotated[int | None, typer.Option("-k", help="Answers per query.", show_default="10")] = None,
    threads: Threads = 0,
) -> None:
    """Show why a system answers as it does and whom it serves.

    Hubs, popularity bias, crowded vectors, dead codes, what the ids can carry, how training went.
    What a system lacks is left out with a line that says so.

    \b
    Examples:
      retrograd diagnose my-system --data DIR --split dev --out diagnosis
      retrograd diagnose --run any-system.trec --data DIR --popularity clicks.tsv
    """
    from retrograd.cli.diagnose import Judged, diagnose_command
    from retrograd.errors import InputError

    if (system is None) == (run is None):
        raise InputError("give either SYSTEM or --run FILE")
    judged = Judged(data=data, split=split, popularity=popularity, k=k)
    diagnose_command(system, run, judged, out, threads=threads)


@app.command()
def check(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a fitted system.")]) -> None:
    """Verify every file of a saved system.

    Names those that are damaged, missing or foreign.

    \b
    Example:
      retrograd check my-system
    """
    from retrograd.cli.check import check_command

    check_command(folder)


@app.command()
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


@recipes_app.command(name="list")
def list_recipes() -> None:
    """One line per recipe."""
    from retrograd.cli.recipes import list_command

    list_command()


@recipes_app.command(name="show")
def show_recipe(name: Name) -> None:
    """Every field of a recipe; each path can be given to `retrograd fit --set`.

    \b
    Example:
      retrograd recipes show generative
    """
    from retrograd.cli.recipes import show_command

    show_command(name)


@recipes_app.command(name="diff")
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


@recipes_app.command(name="cite")
def cite_recipe(name: Name) -> None:
    """BibTeX of the papers a recipe stands on.

    \b
    Example:
      retrograd recipes cite dsi_qg
    """
    from retrograd.cli.recipes import cite_command

    cite_command(name)
