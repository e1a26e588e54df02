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
Cut = Annotated[
    str,
    typer.Option(
        "--cut",
        metavar="NAME",
        help="How interactions are split: last (each user's last item is dev), last_two (dev and test), "
        "last_two_refit (test only, dev is learnt from), temporal (one moment for all users).",
    ),
]
Changes = Annotated[
    Path,
    typer.Option(
        "--data",
        metavar="FILE",
        help="Documents: .jsonl[.gz] with _id, title, text, metadata; - reads stdin.",
    ),
]
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="FIELD=VALUE",
        help="Only documents with this metadata, id or title; repeat for more (any value of one field).",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
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
        cut=cut,
        resume=resume,
        threads=threads,
    )


@app.command()
def search(
    system: System,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="The question.", show_default=False)
    ] = None,
    history: Annotated[
        str | None,
        typer.Option("--history", metavar="ID,ID", help="What the asker took before, oldest first."),
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
    filters: Filters = None,
    threads: Threads = 0,
) -> None:
    """Ask a fitted system.

    \b
    Examples:
      retrograd search my-system "estimate depth from one image"
      retrograd search my-system "estimate depth from one image" -k 3 --explain
      retrograd search my-system "estimate depth from one image" --filter framework=PyTorch
      retrograd search my-system --queries topics.tsv --run my-system.trec -k 100
      retrograd search my-recommender --history item1,item2
    """
    from retrograd.cli.search import history_items, search_command, search_file_command
    from retrograd.errors import InputError
    from retrograd.types import Query

    if (text is None and history is None) == (queries is None):
        raise InputError("give either TEXT (or --history ID,ID, or both) or --queries FILE")
    if (queries is None) != (run is None):
        raise InputError("--queries FILE and --run FILE go together")
    if queries is not None and run is not None:
        search_file_command(system, queries, run, k, filters or [], threads=threads)
    else:
        asked = Query("0", text or "", () if history is None else history_items(history))
        search_command(system, asked, k, filters or [], explain=explain, threads=threads)


@app.command()
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


@app.command()
def update(system: System, data: Changes, as_json: Json = False, threads: Threads = 0) -> None:
    """Replace documents of a fitted system by newer ones of the same ids.

    \b
    Example:
      retrograd update my-system --data changed.jsonl
    """
    from retrograd.cli.updates import update_command

    update_command(system, data, as_json=as_json, threads=threads)


@app.command()
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


@app.command()
def history(system: System, as_json: Json = False) -> None:
    """List what happened to a system since it was fitted, newest first.

    \b
    Example:
      retrograd history my-system
    """
    from retrograd.cli.updates import history_command

    history_command(system, as_json=as_json)


@app.command()
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


@app.command(name="eval")
def evaluate(
    systems: Annotated[list[Path], typer.Argument(metavar="SYSTEM...", help="Folders of fitted systems.")],
    data: Data,
    split: Annotated[str, typer.Option(help="Judgements to measure by.")] = "dev",
    measures: Annotated[
        str | None,
        typer.Option(
            help="Names as in ir-measures, comma-separated.",
            show_default="nDCG@10,R@10,R@100,RR@10; of histories R@5,nDCG@5,R@10,nDCG@10",
        ),
    ] = None,
    k: Annotated[
        int | None, typer.Option("-k", help="Answers per query.", show_default="100; of histories 50")
    ] = None,
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
    ties: Annotated[
        str,
        typer.Option(
            metavar="RULE",
            help="Order of equal scores: as_ranked (each system's own), worst (what is relevant last), "
            "popularity (then worst).",
        ),
    ] = "as_ranked",
    slices: Annotated[
        str | None,
        typer.Option(metavar="MEASURE", help="Of histories: also show this measure slice by slice."),
    ] = None,
    requests: Requests = False,
    cut: Cut = "last",
    threads: Threads = 0,
) -> None:
    """Measure systems side by side.

    The table shows paired significance tests against a baseline, latency, memory and size.

    \b
    Examples:
      retrograd eval bm25-system my-system --data DIR --split dev
      retrograd eval bm25-system my-system --data DIR --baseline bm25-system --markdown t.md --png t.png
      retrograd eval my-recommender --data DIR-OF-INTERACTIONS --ties worst --slices R@10
    """
    from retrograd.cli.evaluate import Judging, Outputs, eval_command

    outputs = Outputs(markdown=markdown, png=png, run_dir=run_dir)
    names = () if measures is None else tuple(name.strip() for name in measures.split(","))
    judging = Judging(
        data=data, split=split, measures=names, ties=ties, slices=slices, requests=requests, cut=cut
    )
    eval_command(systems, judging, k, baseline, outputs, threads=threads)


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
def serve(
    folders: Annotated[
        list[str],
        typer.Argument(metavar="DIR...", help="Folders of fitted systems; NAME=DIR gives one another name."),
    ],
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; beyond this machine needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8765,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What changes must carry; else RETROGRAD_TOKEN, if set."),
    ] = None,
    threads: Threads = 0,
    deadline: Annotated[
        float, typer.Option(min=0.001, metavar="SECONDS", help="When a request is given up.")
    ] = 10.0,
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse every change.")] = False,
    log_queries: Annotated[bool, typer.Option("--log-queries", help="Log what people ask.")] = False,
) -> None:
    """Answer over HTTP, with a page to search, compare and explore.

    \b
    Examples:
      retrograd serve my-system bm25-system
      retrograd serve news=runs/7 --port 9000 --read-only
      retrograd serve my-system --host 0.0.0.0 --token-file token.txt
    """
    from retrograd.cli.serve import serve_command
    from retrograd.server.run import Options

    options = Options(
        host=host,
        port=port,
        threads=threads,
        deadline=deadline,
        read_only=read_only,
        log_queries=log_queries,
    )
    serve_command(folders, token_file, options)


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
