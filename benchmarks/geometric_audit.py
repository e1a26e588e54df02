"""Who is served: the popularity and hubness of the lists that the cells of `geometric.py` kept.

Popularity is counted from the recommendation set of the same catalogue, which no split of the queries
touches. Nothing is searched here: the first ten answers of every query stand in the cells.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from grid import judged
from report import Cells, Results, markdown

from retrograd.data.dataset import Dataset, load_dataset
from retrograd.data.interactions import read_popularity
from retrograd.evaluation.diagnostics import (
    AuditSettings,
    Hubness,
    PopularityAudit,
    audit_popularity,
    hubness,
    occurrences_in,
)
from retrograd.evaluation.diagnostics.plots import hubness_figure, popularity_figure
from retrograd.evaluation.diagnostics.popularity import QUINTILES
from retrograd.evaluation.measures import average_seeds
from retrograd.evaluation.significance import Interval, Resampling, bootstrap_interval
from retrograd.evaluation.slices import SliceScores, evaluate_slices
from retrograd.types import Hit, Qrels, Ranking

K = 10
MEASURES = (f"Success@{K}", f"nDCG@{K}")
QUICK = Resampling(draws=1)
"""For figures whose intervals are drawn again after seeds were averaged."""

HUBS = ("skewness", "random_skewness", "gini", "never", "random_never", "largest")
TAIL = (4, 5)
"""Parts of the catalogue, by quintile, that are the two least popular."""


@dataclass(frozen=True)
class Catalogue:
    """A product search set, its claims and the popularity of its items."""

    dataset: Dataset
    popularity: Mapping[str, float]
    claims: Mapping[str, tuple[str, ...]]
    """Name of a claim -> splits judged together."""

    @classmethod
    def read(cls, name: str, claims: Mapping[str, tuple[str, ...]]) -> Catalogue:
        """`NAME_search` with the interactions of `NAME`, both in the folder of the data."""
        data = Path(os.environ["RETROGRAD_DATA"])
        counts = read_popularity(data / name.removesuffix("_search") / "interactions.tsv.gz")
        return cls(load_dataset(data / name), {item: float(count) for item, count in counts.items()}, claims)

    @property
    def ids(self) -> tuple[str, ...]:
        """Every item."""
        return self.dataset.corpus.ids

    @cached_property
    def quintiles(self) -> dict[str, int]:
        """Item -> part of the catalogue, 1 the head."""
        return QUINTILES.assign(self.ids, self.popularity)

    def judgements(self, claim: str) -> Qrels:
        """Of a claim."""
        return judged(self.dataset, self.claims[claim])[1]


def ranking_of(result: Mapping[str, Any]) -> Ranking:
    """The first answers of a run, scored by their places.

    >>> ranking_of({"top": {"q": ["b", "a"]}}).documents()
    {'q': ['b', 'a']}
    """
    top = result["top"]
    hits = (tuple(Hit(d, float(-place)) for place, d in enumerate(found)) for found in top.values())
    return Ranking(tuple(top), tuple(hits))


def audit(results: Results, qrels: Qrels, catalogue: Catalogue) -> PopularityAudit:
    """Mean over seeds; intervals over queries whose values were averaged over seeds first."""
    rankings = [ranking_of(result) for result in results]
    quick = AuditSettings(k=K, resampling=QUICK)
    single = [audit_popularity(r, qrels, catalogue.ids, catalogue.popularity, quick) for r in rankings]
    parts = zip(*(sliced(ranking, qrels, catalogue.quintiles) for ranking in rankings), strict=True)
    slices = tuple(
        replace(figures, hit_rate=hit_rate, ndcg=ndcg)
        for figures, same in zip(single[0].slices, parts, strict=True)
        for hit_rate, ndcg in [[_interval(same, measure) for measure in MEASURES]]
    )
    return replace(
        single[0],
        slices=slices,
        list_popularity=mean(one.list_popularity for one in single),
        exposure_gini=mean(one.exposure_gini for one in single),
    )


def sliced(ranking: Ranking, qrels: Qrels, parts: Mapping[str, int]) -> tuple[SliceScores, ...]:
    """HitRate and nDCG of each part of the catalogue that holds something relevant."""
    return evaluate_slices(ranking, qrels, parts, MEASURES, resampling=QUICK)


def _interval(same: Sequence[SliceScores], measure: str) -> Interval:
    values = average_seeds([part.scores for part in same]).per_query[measure]
    return bootstrap_interval(np.array(list(values.values())))


def tail_cells(cells: Cells, catalogue: Catalogue) -> Cells:
    """The same runs, judged by the least popular items alone."""
    tail = {document: 1 + (part in TAIL) for document, part in catalogue.quintiles.items()}
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for (claim, name), results in cells.items():
        if claim in catalogue.claims:
            qrels = catalogue.judgements(claim)
            last = [sliced(ranking_of(result), qrels, tail)[-1].scores for result in results]
            found[claim, name] = [{"per_query": scores.per_query, "mean": scores.mean} for scores in last]
    return found


def hubs(results: Results, catalogue: Catalogue) -> list[Hubness]:
    """N_10 of each seed's lists."""
    rankings = [ranking_of(result) for result in results]
    counts = [(occurrences_in(ranking, catalogue.ids, K), len(ranking)) for ranking in rankings]
    return [hubness(found, k=K, num_lists=lists) for found, lists in counts]


def popularity_table(audits: Mapping[str, PopularityAudit]) -> str:
    """HitRate@10 per part of the catalogue, and what the lists do with popularity."""
    first = next(iter(audits.values()))
    parts = [
        f"{'never taken' if part.name == 'none' else part.name} "
        f"({part.least:g}-{part.most:g}; {part.num_queries:,} q)"
        for part in first.slices
    ]
    rows = [
        [
            f"`{name}`",
            *(f"{p.hit_rate.mean:.3f} [{p.hit_rate.low:.3f}, {p.hit_rate.high:.3f}]" for p in found.slices),
            f"{found.lift:.2f}",
        ]
        for name, found in audits.items()
    ]
    return markdown(["system", *parts, "lift"], rows)


def hubness_table(found: Mapping[str, Sequence[Hubness]]) -> str:
    """Skewness, Gini and the rest, means over seeds; chance beside."""
    rows = []
    for name, seeds in found.items():
        average = {key: mean(getattr(one, key) for one in seeds) for key in HUBS}
        rows.append(
            [
                f"`{name}`",
                f"{average['skewness']:.2f} ({average['random_skewness']:.2f})",
                f"{average['gini']:.3f}",
                f"{average['never']:.1%} ({average['random_never']:.1%})",
                f"{average['largest']:.0f} of {seeds[0].num_lists:,}",
            ]
        )
    return markdown(
        ["system", "skewness (by chance)", "Gini", "never shown (by chance)", "greatest hub"], rows
    )


def figures(
    audits: Mapping[str, PopularityAudit], found: Mapping[str, Sequence[Hubness]], folder: Path
) -> Iterator[Path]:
    """Draw both for the systems given, the subject first."""
    folder.mkdir(parents=True, exist_ok=True)
    yield folder / "index_popularity.png"
    popularity_figure(audits, folder / "index_popularity.png")
    yield folder / "index_hubness.png"
    hubness_figure({name: seeds[0] for name, seeds in found.items()}, folder / "index_hubness.png")
