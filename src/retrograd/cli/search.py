"""`retrograd search`: one question to the terminal, or a file of questions to a run file."""

from __future__ import annotations

from pathlib import Path

from retrograd.cli.settings import check_question, number_of_answers, use_threads
from retrograd.cli.show import answers_table, console
from retrograd.types import Query

DEFAULT_K = 10


def search_command(folder: Path, text: str, k: int | None, *, explain: bool, threads: int) -> None:
    """Answer one question as a table."""
    check_question(text)
    use_threads(threads)
    from retrograd.system import System

    system = System.load(folder)
    hits = system.search(text, number_of_answers(k, DEFAULT_K, len(system.corpus))).hits[0]
    if hits:
        console().print(answers_table(hits, system.corpus, system.table, explain=explain))
        if explain and (engine := getattr(system.searcher, "engine", None)):
            print(f"engine: {engine}")
    else:
        print("no document matches")


def search_file_command(folder: Path, queries: Path, run: Path, k: int | None, *, threads: int) -> None:
    """Answer a file of questions into a TREC run."""
    asked = read_questions(queries)
    use_threads(threads)
    from retrograd.data.runs import write_run
    from retrograd.system import System

    system = System.load(folder)
    ranking = system.search(asked, number_of_answers(k, DEFAULT_K, len(system.corpus)))
    write_run(run, ranking, tag=system.recipe.name)
    print(f"{len(asked):,} queries, {sum(map(len, ranking.hits)):,} answers: {run}")


def read_questions(path: Path) -> list[Query]:
    """Queries of a `.jsonl` file (`_id`, `text`), of `id<TAB>text` lines, or of TREC topics.

    Raises:
        InputError: the file is none of these, or holds a question that is empty or too long.
    """
    from retrograd.data.beir import read_queries
    from retrograd.data.runs import read_topics

    is_json = path.name.removesuffix(".gz").endswith(".jsonl")
    asked = list((read_queries(path) if is_json else read_topics(path)).values())
    for query in asked:
        check_question(query.text, path=Path(f"{path} (query {query.id})"))
    return asked
