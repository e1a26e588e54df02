"""A search set together with what its users took: the ground on which one system learns both tasks.

Joins queries, judgements and histories into one `Dataset`; the ids of both sides name the same items, and
the user ids of a search log name the same people as those of the interactions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from retrograd.artifacts import sha256_file
from retrograd.data.audit import audited
from retrograd.data.cuts import cut_named
from retrograd.data.dataset import DEFAULT_CUT, Dataset, load_dataset
from retrograd.data.interactions import popularity, read_interactions
from retrograd.data.lines import one_of
from retrograd.data.recommendation import cut_interactions
from retrograd.data.requests import load_requests
from retrograd.data.search_log import PAST, Purchase, read_search_log
from retrograd.types import History

NEXT_ITEM = "next_item_"
"""Before the name of a split of the interactions, so that it is not taken for one of the queries."""


def load_both_tasks(
    folder: Path | str, interactions: Path | str, *, requests: bool = False, cut: str = DEFAULT_CUT
) -> Dataset:
    """A search set with `Dataset.histories`, and the splits of both: `dev` of the queries, `next_item_dev` of
    the interactions.

    What is odd about the interactions is warned of. A history ends before the first item that the search log
    wants found for its user: what is a target there is no next item here.

    Args:
        folder: a search set; with `requests`, one that has a search log.
        interactions: who took what, with items of that set.
        requests: whether queries are the rows of the log, each with what its asker took before.
        cut: one of `cuts.CUTS`.

    Raises:
        InputError: a faulty file, or a cut that is not known or has nothing to cut.
    """
    folder, table = Path(folder), Path(interactions)
    searched = load_requests(folder) if requests else load_dataset(folder)
    corpus = searched.corpus
    taken = audited(read_interactions(table, items=corpus.row_of), corpus, table)
    histories, splits = cut_interactions(corpus, taken, cut_named(cut))
    log = one_of(folder, "search_log.tsv")
    if log is not None:
        # the queries of a dataset of requests have other names
        queries = load_dataset(folder).queries if requests else searched.queries
        histories = before_targets(histories, read_search_log(log, queries=queries, items=corpus.row_of))
    return replace(
        searched,
        histories={history.id: history for history in histories},
        popularity=popularity(histories),
        name=f"{searched.name}_with_histories",
        hashes={**searched.hashes, f"histories, cut {cut}": sha256_file(table)},
        qrels={**searched.qrels, **{NEXT_ITEM + name: cases.qrels for name, cases in splits.items()}},
        asked={**searched.asked, **{NEXT_ITEM + name: cases.queries for name, cases in splits.items()}},
        slices={NEXT_ITEM + name: cases.slices for name, cases in splits.items()},
    )


def before_targets(histories: Iterable[History], log: Iterable[Purchase]) -> list[History]:
    """Each history as far as it holds no item that the log wants found for its user; empty ones go.

    >>> log = [Purchase("u", "q", "b", 1, "dev")]
    >>> before_targets([History("u", ("a", "b", "c")), History("v", ("b",))], log)
    [History(id='u', items=('a',)), History(id='v', items=('b',))]
    """
    wanted: dict[str, set[str]] = {}
    for row in log:
        if row.part not in PAST:
            wanted.setdefault(row.user, set()).add(row.item)
    found = []
    for history in histories:
        targets = wanted.get(history.id, set())
        end = next((at for at, item in enumerate(history.items) if item in targets), len(history.items))
        if end:
            found.append(History(history.id, history.items[:end]))
    return found
