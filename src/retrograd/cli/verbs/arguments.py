"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

System = Annotated[Path, typer.Argument(metavar="SYSTEM", help="Folder of a fitted system.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A recipe, see `retrograd recipes list`.")]
Requests = Annotated[
    bool,
    typer.Option(
        "--requests", help="Take the rows of search_log.tsv as queries, each with what its asker took before."
    ),
]
Interactions = Annotated[
    Path | None,
    typer.Option(
        "--interactions",
        metavar="FILE",
        help="Beside a search set: who took which of its items (user_id, item_id, order or timestamp).",
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
