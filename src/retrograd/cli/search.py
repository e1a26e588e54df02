"""`retrograd search`: one question to the terminal, or a file of questions to a run file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from retrograd.cli.settings import check_question, filters_of, number_of_answers, use_threads
from retrograd.cli.show import answers_table, console
from retrograd.errors import InputError
from retrograd.types import Query

if TYPE_CHECKING:
    from retrograd.system import System

DEFAULT_K = 10


def search_command(
    folder: Path, asked: Query, k: int | None, filters: Sequence[str], *, explain: bool, threads: int
) -> None:
    """Answer one question as a table."""
    if asked.text or not asked.history:
        check_question(asked.text)
    where = filters_of(filters)
    use_threads(threads)
    from retrograd.search.trace import listening
    from retrograd.system import System

    system = System.load(folder)
    check_reads(system, [asked])
    with listening() as heard:
        hits = system.search([asked], number_of_answers(k, DEFAULT_K, len(system.corpus)), where).hits[0]
    if hits:
        console().print(answers_table(hits, system.corpus, system.table, explain=explain))
        if explain and (engine := getattr(system.searcher, "engine", None)):
            print(f"engine: {engine}")
        if explain and heard and (exact := heard[-1].result.exact) is not None:
            print("no better id exists" if exact.all() else "not proven best: the search ran out of steps")
    else:
        print("no document matches")


def search_file_command(
    folder: Path, queries: Path, run: Path, k: int | None, filters: Sequence[str], *, threads: int
) -> None:
    """Answer a file of questions into a TREC run."""
    asked, where = read_questions(queries), filters_of(filters)
    use_threads(threads)
    from retrograd.data.runs import write_run
    from retrograd.system import System

    system = System.load(folder)
    check_reads(system, asked)
    ranking = system.search(asked, number_of_answers(k, DEFAULT_K, len(system.corpus)), where)
    write_run(run, ranking, tag=system.recipe.name)
    print(f"{len(asked):,} queries, {sum(map(len, ranking.hits)):,} answers: {run}")


def read_questions(path: Path) -> list[Query]:
    """Queries of a `.jsonl` file (`_id`, `text` or `history`), of `id<TAB>text` lines, or of TREC topics.

    Raises:
        InputError: the file is none of these, or holds a question that is empty or too long.
    """
    from retrograd.data.beir import read_queries
    from retrograd.data.runs import read_topics

    is_json = path.name.removesuffix(".gz").endswith(".jsonl")
    asked = list((read_queries(path) if is_json else read_topics(path)).values())
    for query in asked:
        if query.text or not query.history:
            check_question(query.text, path=Path(f"{path} (query {query.id})"))
    return asked


def history_items(text: str) -> tuple[str, ...]:
    """The items of `--history a,b`.

    Raises:
        InputError: an id is missing.

    >>> history_items("a, b")
    ('a', 'b')
    """
    items = tuple(item.strip() for item in text.split(","))
    if not all(items):
        raise InputError(f"--history {text!r:.80} names no item; write ids with commas between, oldest first")
    return items


def check_reads(system: System, asked: Sequence[Query]) -> None:
    """Refuse questions that a system would not look at.

    Raises:
        InputError: a text, a history or neither where the system reads the other, or an item it lacks.
    """
    from retrograd.search.learning import takes_history, takes_text

    name = system.recipe.name
    for query in asked:
        if query.history and not takes_history(system.recipe.search):
            raise InputError(f"{name} does not look at histories; ask it with a text")
        if not query.history and not takes_text(system.recipe.search):
            raise InputError(f"{name} reads what was taken before and no text; ask it with --history ID,ID")
        unknown = [item for item in query.history if item not in system.corpus.row_of]
        if unknown:
            raise InputError(f"item {unknown[0]!r:.80} of the history is not in this system")
