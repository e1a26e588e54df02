"""How answers look in a terminal: rank, score, document, and the docid that was generated.

Only formats values; it never searches.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from retrograd.docid_table import DocidTable
from retrograd.types import Corpus, Hit

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SNIPPET = 96
WIDTH_OF_A_FILE = 160
"""Columns where output is no terminal, so that nothing depends on who reads it."""


def console() -> Console:
    """Standard output, without markup: texts may hold brackets."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else WIDTH_OF_A_FILE
    return Console(width=width, markup=False, highlight=False, soft_wrap=False)


def answers_table(
    hits: Sequence[Hit], corpus: Corpus, table: DocidTable | None, *, explain: bool = False
) -> Table:
    """One row per answer, best first; with `explain` the docid and its log-probability per step."""
    from rich import box
    from rich.table import Table

    grid = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("rank", "score"):
        grid.add_column(heading, justify="right")
    grid.add_column("id", overflow="fold")
    for heading in ("document", *(("docid", "log p by step") if explain else ())):
        grid.add_column(heading)
    for rank, hit in enumerate(hits, 1):
        row = [str(rank), f"{hit.score:.3f}", hit.document, snippet(corpus, hit.document)]
        why = [docid_text(hit.path, table), " ".join(f"{s:.2f}" for s in hit.step_scores)]
        grid.add_row(*printable(row + (why if explain else [])))
    return grid


def snippet(corpus: Corpus, document: str) -> str:
    """The document's title, or the start of its text, in one line."""
    found = corpus[corpus.row_of[document]]
    words = " ".join((found.title or found.text).split())
    return words if len(words) <= SNIPPET else words[: SNIPPET - 1] + "…"


def docid_text(path: Sequence[int], table: DocidTable | None) -> str:
    """A generated docid for people: `3-7-12`, or its words where tokens have names.

    >>> docid_text((3, 7, 12), None)
    '3-7-12'
    """
    if table is not None and table.token_names:
        return " ".join(table.token_names[token] for token in path)
    return "-".join(str(token) for token in path) or "(none: no docid was generated)"


def printable(cells: Sequence[str]) -> list[str]:
    """Cells without control characters, which could rewrite the terminal."""
    return ["".join(c if c.isprintable() else " " for c in cell) for cell in cells]
