"""What the measurements of operators share: text scores of a collection, tables, dated files, the page.

    python benchmarks/operator_results.py    # docs/results_operators.md from the latest file of each

Knows collections, rankings and tables; what is measured is the business of each script.
Shapes: q queries, n documents.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from grid import Cell, hardware, path_of, write_cell
from report import (
    DIFFERENCES,
    NOT_RUN,
    QUALITY,
    Cells,
    Results,
    markdown,
    measured,
    paired,
    paired_table,
    quality,
)

from retrograd.data.dataset import Dataset, load_dataset
from retrograd.evaluation.measures import Scores, evaluate
from retrograd.indexes.lexical import LexicalIndex
from retrograd.types import Qrels, Ranking

RESULTS = Path(__file__).parent / "results"
PAGE = Path("docs/results_operators.md")
PARTS = ("page-rank", "two-hop", "router", "collapse-board", "latent-training", "trainable-pq")
"""Kinds of files, in the order of the page."""

INTRODUCTION = """# Results of operators

What the differentiable operators are worth on real data, each against the strongest baseline that needs no
training. Hyper-parameters were chosen on parts cut from train, or on other folds where there is no train
part. Sizes were cut to what two cores do in minutes; every table says how far. What was learnt on the way is
in the [log](log.md); the operators themselves are explained under [Operators](operators/index.md). Each
section is written by the script it names, and this page by `benchmarks/operator_results.py`.
"""


def collection(name: str) -> Dataset:
    """A set of the data folder."""
    return load_dataset(Path(os.environ.get("RETROGRAD_DATA", "data")) / name)


def vectors(texts: Sequence[str], role: Any, *, precision: str = "fp32") -> np.ndarray:
    """(texts, 384) MiniLM vectors, from the embedding cache where it has them."""
    from retrograd.models.embedding_cache import cached
    from retrograd.models.text_encoder import MiniLM, encode_as

    return encode_as(cached(MiniLM(precision=precision).build({})), texts, role)


def lexical_scores(dataset: Dataset, texts: Sequence[str], k: int = 1000) -> np.ndarray:
    """(q, n) float32 BM25 scores, 0 for all but the k best."""
    scores = np.zeros((len(texts), len(dataset.corpus)), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        index = LexicalIndex.build(dataset.corpus, Path(folder) / "index")
        for line, found in zip(scores, index.search(texts, k), strict=True):
            for row, score in found:
                line[row] = score
    return scores


def standardised(scores: np.ndarray) -> np.ndarray:
    """(q, n) each query's scores with mean 0 and deviation 1."""
    centred = scores - scores.mean(1, keepdims=True)
    scaled: np.ndarray = centred / np.maximum(centred.std(1, keepdims=True), 1e-9)
    return scaled


def best_rows(scores: np.ndarray, k: int = 10) -> np.ndarray:
    """(q, n) -> (q, k) rows of the best scores, -1 where they are -inf; ties by row."""
    rows = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    rows.sort(axis=1)
    values = np.take_along_axis(scores, rows, 1)
    order = np.argsort(-values, axis=1, kind="stable")
    found = np.where(np.isneginf(values), -1, rows)
    return np.take_along_axis(found, order, 1)


def judged_rows(
    dataset: Dataset, qrels: Qrels, queries: Sequence[str], rows: np.ndarray, measures: Sequence[str]
) -> dict[str, Any]:
    """Mean and per-query measures of rankings (q, k), best first, -1 padded."""
    places = np.broadcast_to(-np.arange(rows.shape[1], dtype=np.float32), rows.shape)
    ranking = Ranking.from_rows(queries, rows, places, dataset.corpus.ids)
    found = evaluate(ranking, {query: qrels[query] for query in queries}, measures)
    return {"mean": found.mean, "per_query": found.per_query}


def of_queries(results: Sequence[Mapping[str, Any]], prefix: str = "") -> dict[str, Any]:
    """Results on disjoint queries as one, of those queries whose id starts so."""
    per_query: dict[str, dict[str, float]] = {}
    for result in results:
        for measure, values in result["per_query"].items():
            kept = {query: value for query, value in values.items() if query.startswith(prefix)}
            per_query.setdefault(measure, {}).update(kept)
    return {"mean": Scores(per_query).mean, "per_query": per_query}


def quality_table(cells: Cells, claims: Sequence[str], measure: str) -> str:
    """Systems by claims."""
    systems = list(dict.fromkeys(system for _, system in cells))
    rows = [
        [f"`{system}`", *(quality(cells.get((claim, system), ()), measure) for claim in claims)]
        for system in systems
    ]
    return f"{measure}. {QUALITY}\n\n{markdown(['system', *claims], rows)}"


def difference_table(
    pairs: Sequence[tuple[str, str, str]], claims: Sequence[str], cells: Cells, measure: str
) -> str:
    """Statements by claims."""
    return f"{measure}. {DIFFERENCES}\n\n{paired_table(pairs, claims, cells, measure=measure)}"


def share(ours: Results, theirs: Results, measure: str, least: float) -> str:
    """A difference in per cent of what the other side has, and whether it reaches a share of that.

    >>> runs = [{"mean": {"R@1": n}, "per_query": {"R@1": {"a": n, "b": n}}} for n in (0.5, 0.6)]
    >>> share(runs[1:], runs[:1], "R@1", 0.1)
    '+20.0 % [+20.0, +20.0], met'
    """
    test = paired(ours, theirs, measure=measure)
    if test is None:
        return NOT_RUN
    base = np.mean(measured(theirs, measure))
    mean, low, high = (float(edge / base) for edge in (test[0].mean, test[0].low, test[0].high))
    verdict = "missed" if mean < least else "met" if low >= least else "met, within chance"
    return f"{100 * mean:+.1f} % [{100 * low:+.1f}, {100 * high:+.1f}], {verdict}"


def means(cells: Cells) -> dict[str, dict[str, list[dict[str, float]]]]:
    """claim -> system -> measures of each seed."""
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    for (claim, system), results in cells.items():
        found.setdefault(claim, {})[system] = [
            {measure: round(value, 5) for measure, value in result["mean"].items()} for result in results
        ]
    return found


def finished(
    folder: Path, cells: Sequence[Cell], run_cell: Callable[[str, str, int, str], dict[str, Any]]
) -> list[dict[str, Any]]:
    """What all cells found; those whose file is not there are run, one after the other in this process."""
    folder.mkdir(parents=True, exist_ok=True)
    for cell in cells:
        if not path_of(folder, cell).exists():
            write_cell(folder, cell, run_cell(*cell))
            print(*cell, flush=True)
    return [json.loads(path_of(folder, cell).read_text()) for cell in cells]


def save(kind: str, title: str, tables: Sequence[str], figures: Mapping[str, Any]) -> None:
    """Print the tables, and write them with their figures to a dated file."""
    git = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    report = {"date": str(date.today()), "commit": commit, "hardware": hardware(), "title": title}
    text = json.dumps({**report, "tables": list(tables), **figures}, indent=1)
    (RESULTS / f"{date.today()}-{kind}.json").write_text(text + "\n")
    print("\n\n".join(tables))


def page() -> str:
    """The page from the latest file of each kind."""
    parts = [INTRODUCTION.strip()]
    for kind in PARTS:
        files = sorted(RESULTS.glob(f"*-{kind}.json"))
        if files:
            report = json.loads(files[-1].read_text())
            script = f"`benchmarks/{kind.replace('-', '_')}.py`"
            source = f"By {script} on {report['date']} at commit `{report['commit']}`; {report['hardware']}."
            parts += [f"## {report['title']}", source, *report["tables"]]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
