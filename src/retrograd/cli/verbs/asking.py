"""Commands that ask systems and judge their answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from retrograd.cli.verbs.arguments import Cut, Data, Filters, Requests, System, Threads


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
    decoding: Annotated[
        bool,
        typer.Option(
            "--decoding", help="Instead: how wide a beam must be, and where it loses what is relevant."
        ),
    ] = False,
    threads: Threads = 0,
) -> None:
    """Show why a system answers as it does and whom it serves.

    Hubs, popularity bias, crowded vectors, dead codes, what the ids can carry, how training went.
    What a system lacks is left out with a line that says so.

    \b
    Examples:
      retrograd diagnose my-system --data DIR --split dev --out diagnosis
      retrograd diagnose --run any-system.trec --data DIR --popularity clicks.tsv
      retrograd diagnose my-system --data DIR --decoding --out diagnosis
    """
    from retrograd.cli.diagnose import Judged, decoding_command, diagnose_command
    from retrograd.errors import InputError

    if (system is None) == (run is None):
        raise InputError("give either SYSTEM or --run FILE")
    judged = Judged(data=data, split=split, popularity=popularity, k=k)
    if decoding:
        if system is None or popularity is not None:
            raise InputError("--decoding looks at a SYSTEM, neither at a run nor at popularity")
        decoding_command(system, judged, out, threads=threads)
        return
    diagnose_command(system, run, judged, out, threads=threads)


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
