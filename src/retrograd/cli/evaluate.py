"""`retrograd eval`: several systems on the same judgements, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from retrograd.cli.settings import number_of_answers, opened, use_threads, without_cache
from retrograd.cli.show import console
from retrograd.errors import InputError
from retrograd.types import Query, Ranking

if TYPE_CHECKING:
    from retrograd.data.dataset import Dataset
    from retrograd.evaluation.measures import Scores
    from retrograd.system import System

DEFAULT_K = 100
NEXT_ITEM_K = 50
"""Answers asked of a recommender where no measure looks further."""


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Files to write beside the table in the terminal; None where none is wanted."""

    markdown: Path | None
    png: Path | None
    run_dir: Path | None


@dataclass(frozen=True, kw_only=True)
class Judging:
    """What is asked, what is right, and how that is counted."""

    data: Path
    split: str
    measures: tuple[str, ...]
    """() takes those that fit the data."""

    ties: str
    """One of `evaluation.ties.TIE_RULES`."""

    slices: str | None
    """A measure that is shown slice by slice as well."""

    requests: bool
    cut: str


def eval_command(
    folders: Sequence[Path],
    judging: Judging,
    k: int | None,
    baseline: str | None,
    outputs: Outputs,
    *,
    threads: int,
) -> None:
    """Search, measure, time and compare; print the table and write what was asked for."""
    names = system_names(folders)
    chosen = baseline_name(baseline, names)
    use_threads(threads)
    from retrograd.data.runs import write_run
    from retrograd.evaluation.compare import compare
    from retrograd.evaluation.cost import bytes_per_document, measure_cost
    from retrograd.evaluation.measures import check_measure, evaluate
    from retrograd.evaluation.ties import with_ties
    from retrograd.system import System

    dataset = opened(judging.data, judging.requests, judging.cut)
    queries, qrels = dataset.split(judging.split)
    sliced = () if judging.slices is None else (judging.slices,)
    wanted = [check_measure(name) for name in dict.fromkeys((*measures_for(judging, dataset), *sliced))]
    scores, rankings, costs = {}, {}, {}
    for name, folder in zip(names, folders, strict=True):
        system = System.load(folder)
        check_reads_all(system, queries)
        depth = number_of_answers(k, default_k(dataset, wanted), len(system.corpus))
        ranking = system.search(queries, depth)
        rankings[name] = with_ties(ranking, qrels, judging.ties, depth, dataset.popularity)
        scores[name] = evaluate(rankings[name], qrels, wanted)
        size = {"bytes/document": bytes_per_document([folder], len(system.corpus))}
        with without_cache():
            costs[name] = measure_cost(System.load(folder), queries).columns() | size
        if outputs.run_dir is not None:
            outputs.run_dir.mkdir(parents=True, exist_ok=True)
            write_run(outputs.run_dir / f"{name}.trec", ranking, tag=name)
    title = title_of(judging, dataset)
    comparison = compare(scores, baseline=chosen, costs=costs, title=title)
    if dataset.histories:
        comparison = replace(comparison, decimals=4)
    comparison.show(console())
    slices = slice_tables(judging, dataset, rankings, scores)
    for table in slices:
        print(f"\n{table}")
    if outputs.markdown is not None:
        from retrograd.artifacts import write_bytes_atomic

        write_bytes_atomic(outputs.markdown, "\n".join([comparison.markdown(), *slices]).encode())
    if outputs.png is not None:
        comparison.plot(outputs.png)


def default_k(dataset: Dataset, measures: Sequence[str]) -> int:
    """Answers per query where nobody says."""
    cutoffs = [int(name.partition("@")[2]) for name in measures if "@" in name]
    return max(NEXT_ITEM_K, *cutoffs) if dataset.histories and cutoffs else DEFAULT_K


def measures_for(judging: Judging, dataset: Dataset) -> tuple[str, ...]:
    """The measures that were named, or those usual for the data."""
    from retrograd.evaluation.measures import DEFAULT_MEASURES, NEXT_ITEM_MEASURES

    return judging.measures or (NEXT_ITEM_MEASURES if dataset.histories else DEFAULT_MEASURES)


def title_of(judging: Judging, dataset: Dataset) -> str:
    """Data and split; of histories also the hash of the split and the rule for equal scores."""
    title = f"{judging.data.name} {judging.split}"
    if dataset.histories:
        title += f" (cut {judging.cut}, split {dataset.split_hash(judging.split)[:12]})"
    return title if judging.ties == "as_ranked" else f"{title}, ties: {judging.ties}"


def check_reads_all(system: System, queries: Sequence[Query]) -> None:
    """Refuse to measure a system on questions it does not look at.

    Raises:
        InputError: every question is a history and the system reads texts only, or the other way round.
    """
    from retrograd.search.learning import takes_history, takes_text

    if not any(query.text for query in queries) and not takes_history(system.recipe.search):
        raise InputError(
            f"{system.recipe.name} reads texts, and all that is asked here are histories; "
            "compare recommenders, or put its search into `WithHistory`"
        )
    if not any(query.history for query in queries) and not takes_text(system.recipe.search):
        raise InputError(f"{system.recipe.name} reads histories, and nothing asked here has one")


def slice_tables(
    judging: Judging, dataset: Dataset, rankings: Mapping[str, Ranking], scores: Mapping[str, Scores]
) -> list[str]:
    """One Markdown table per way to slice, [] where no measure was named for it.

    Raises:
        InputError: the data have no slices.
    """
    if judging.slices is None:
        return []
    if judging.split not in dataset.slices:
        raise InputError("only recommendation data have slices; leave --slices out", path=judging.data)
    from retrograd.evaluation.next_item_slices import sliced_table, slices_of_targets, slices_of_users

    measure, split = judging.slices, judging.split
    values = {name: found.per_query[measure] for name, found in scores.items()}
    found = slices_of_users(values, dataset.slices[split])
    found |= slices_of_targets(
        rankings, dataset.qrels[split], measure, dataset.corpus.ids, dataset.popularity or {}
    )
    return [sliced_table(f"{measure} by {name}", columns) for name, columns in found.items()]


def system_names(folders: Sequence[Path]) -> list[str]:
    """What the rows are called: the folder's name, or the whole path where names clash.

    >>> system_names([Path("a/x"), Path("b/y")]), system_names([Path("a/x"), Path("b/x")])
    (['x', 'y'], ['a-x', 'b-x'])
    """
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) == len(names):
        return names
    names = ["-".join(folder.parts) for folder in folders]
    if len(set(names)) != len(names):
        raise InputError("a system is named twice; name each once")
    return names


def baseline_name(baseline: str | None, names: Sequence[str]) -> str:
    """The row the others are tested against.

    Raises:
        InputError: it is not among the systems.
    """
    wanted = names[0] if baseline is None else Path(baseline).name
    if wanted not in names:
        raise InputError(f"--baseline {baseline} is not compared; choose one of {', '.join(names)}")
    return wanted
