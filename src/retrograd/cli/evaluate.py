"""`retrograd eval`: several systems on the same judgements, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from retrograd.cli.settings import number_of_answers, opened, use_threads, without_cache
from retrograd.cli.show import console
from retrograd.errors import InputError

DEFAULT_K = 100


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Files to write beside the table in the terminal; None where none is wanted."""

    markdown: Path | None
    png: Path | None
    run_dir: Path | None


def eval_command(
    folders: Sequence[Path],
    data: Path,
    split: str,
    measures: Sequence[str],
    k: int | None,
    baseline: str | None,
    outputs: Outputs,
    *,
    requests: bool,
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
    from retrograd.system import System

    wanted = [check_measure(measure.strip()) for measure in measures]
    queries, qrels = opened(data, requests).split(split)
    scores, costs = {}, {}
    for name, folder in zip(names, folders, strict=True):
        system = System.load(folder)
        ranking = system.search(queries, number_of_answers(k, DEFAULT_K, len(system.corpus)))
        scores[name] = evaluate(ranking, qrels, wanted)
        size = {"bytes/document": bytes_per_document([folder], len(system.corpus))}
        with without_cache():
            costs[name] = measure_cost(System.load(folder), queries).columns() | size
        if outputs.run_dir is not None:
            outputs.run_dir.mkdir(parents=True, exist_ok=True)
            write_run(outputs.run_dir / f"{name}.trec", ranking, tag=name)
    comparison = compare(scores, baseline=chosen, costs=costs, title=f"{data.name} {split}")
    comparison.show(console())
    if outputs.markdown is not None:
        from retrograd.artifacts import write_bytes_atomic

        write_bytes_atomic(outputs.markdown, comparison.markdown().encode())
    if outputs.png is not None:
        comparison.plot(outputs.png)


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
