"""The parts of a system after documents came and went, from the parts it was saved with.

The one way there: loading a folder, every change to it, and going back all end here. Whatever is in the log
is taken as it is (keys, learnt rows, generated texts); indexes stay those of the base, see `parts.Drift`, and
docids are carried on from the state before.
Shapes: n documents of the base, m that joined, d dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from retrograd.artifacts import array_to_text, text_to_array
from retrograd.change_log import Kept, Net
from retrograd.constraints import CsrTrie, LiveTrie
from retrograd.docid_table import DocidTable
from retrograd.docids.edit import edited, named
from retrograd.search.lexical import TEXTS
from retrograd.search.nearest import BASE_VECTORS, VECTORS
from retrograd.search.parts import Drift, Parts
from retrograd.search.query_memory import VECTORS as REMEMBERED
from retrograd.types import Corpus, State


def changed_parts(
    base: Parts,
    places: np.ndarray,
    net: Net,
    vectors: Mapping[int, np.ndarray],
    *,
    before: tuple[Parts, np.ndarray],
) -> Parts:
    """The parts of a base with what came and went since.

    Args:
        base: as it was saved.
        places: (n,) int64, the place of each of its documents, ascending.
        net: the changes.
        vectors: place -> (d,) of the documents that joined; read only where the base has vectors.
        before: the same base with other changes, or none, and the places of its documents: docids and their
            trie are made from its own, in time that grows with what is different.

    Raises:
        InputError: no document is left.
    """
    if not net.gone and not net.joined and net.level_sizes in ((), _sizes(base.table)):
        return base
    there = ~np.isin(places, np.fromiter(net.gone, np.int64, len(net.gone)))
    joined = [net.joined[place] for place in sorted(net.joined)]
    together = np.concatenate([places[there], np.array([kept.place for kept in joined], np.int64)])
    order = np.argsort(together, kind="stable")
    row_of = np.empty(len(order), np.int64)
    row_of[order] = np.arange(len(order))
    rows = np.full(len(places), -1, np.int64)
    rows[there] = row_of[: there.sum()]
    documents = [*compress(base.corpus, there.tolist()), *(kept.document for kept in joined)]
    drift = Drift(
        base=base.corpus,
        rows=rows,
        joined=row_of[there.sum() :],
        places=tuple(kept.place for kept in joined),
        texts=tuple(kept.texts for kept in joined),
    )
    corpus = Corpus(map(documents.__getitem__, order.tolist()))
    after = replace(
        base,
        corpus=corpus,
        model=_model(base, net, joined),
        arrays=_arrays(base.arrays, drift, len(corpus), vectors),
        drift=drift,
    )
    if base.table is not None:
        _change_docids(after, base.table, places, net, together[order], before)
    return after


def _sizes(table: DocidTable | None) -> tuple[int, ...]:
    return () if table is None else table.level_sizes


def _change_docids(
    after: Parts,
    base: DocidTable,
    places: np.ndarray,
    net: Net,
    now: np.ndarray,
    before: tuple[Parts, np.ndarray],
) -> None:
    """Give the parts their table, and their trie where there was one before; `now` are their places."""
    parts, there = before
    assert parts.table is not None, "of the same base"
    at = np.minimum(np.searchsorted(now, there), len(now) - 1)
    rows = np.where(now[at] == there, at, -1)
    joined = np.setdiff1d(np.arange(len(now)), rows, assume_unique=True)
    came = now[joined].tolist()
    again = [place for place in came if place not in net.joined]  # of the base, and back after they had left
    known = dict(zip(again, base.keys_of_some(np.searchsorted(places, again)), strict=True))
    keys = [known[place] if place in known else net.joined[place].keys for place in came]
    sizes = net.level_sizes or base.level_sizes
    after.table = edited(
        parts.table, rows, after.corpus.ids, joined=joined, keys=keys, level_sizes=sizes, state=net.state
    )
    if "trie" in vars(parts) and _only_grew(parts.table.level_sizes, sizes):
        after.trie = _trie(parts.trie, parts.table, named(parts.table, rows), after.table)


def _only_grew(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """A trie keeps tokens that nobody uses any more, so it must not outlive what they stand for."""
    return len(before) == len(after) and all(new >= old for old, new in zip(before, after, strict=True))


def _trie(trie: CsrTrie | LiveTrie, before: DocidTable, kept: np.ndarray, table: DocidTable) -> LiveTrie:
    """The trie of `table`, which came from `before` and has the keys that it `kept` first, then new ones."""
    live = trie if isinstance(trie, LiveTrie) else LiveTrie.on(trie, before.level_sizes)
    number = np.maximum(np.cumsum(kept) - 1, 0)
    added = np.arange(kept.sum(), len(table))
    return live.renumbered(np.where(live.numbers >= 0, number[live.numbers], -1)).changed(
        joined=table.padded_keys(added),
        numbers=added,
        gone=before.padded_keys(np.flatnonzero(~kept)),
        level_sizes=table.level_sizes,
    )


def _model(base: Parts, net: Net, joined: list[Kept]) -> Any:
    """The network of the base, with other token tables where the docids need them."""
    own = [(key, kept.learnt) for kept in joined if kept.learnt for key in kept.keys]
    if base.table is None or (net.level_sizes in ((), base.table.level_sizes) and not own):
        return base.model
    return base.model.grown(net.level_sizes or base.table.level_sizes, own)


def _arrays(arrays: State, drift: Drift, count: int, vectors: Mapping[int, np.ndarray]) -> State:
    if VECTORS not in arrays or not vectors.keys() >= set(drift.places):
        return {name: array for name, array in arrays.items() if name != VECTORS}
    before = arrays[VECTORS]
    after = np.empty((count, before.shape[1]), np.float32)
    there = drift.rows >= 0
    after[drift.rows[there]] = before[there]
    for row, place in zip(drift.joined.tolist(), drift.places, strict=True):
        after[row] = vectors[place]
    return {**arrays, VECTORS: after, BASE_VECTORS: before}


def settled_parts(parts: Parts, folder: Path) -> Parts:
    """The same documents as a base of their own: indexes are to be made anew in `folder`, while vectors and
    generated texts are carried along."""
    if parts.drift is None:
        return replace(parts, folder=folder, opened={}, spare=None)
    carried = {name: parts.arrays[name] for name in (VECTORS, REMEMBERED) if name in parts.arrays}
    texts = {f"{name}{TEXTS}": _joined(lines, name, parts) for name, lines in generated_texts(parts).items()}
    return replace(parts, folder=folder, arrays=carried | texts, drift=None, opened={}, spare=None)


def generated_texts(parts: Parts) -> dict[str, list[str]]:
    """What is indexed behind the words of each document of the base, by index."""

    def lines() -> dict[str, list[str]]:
        texts = {name: array_to_text(array) for name, array in parts.arrays.items() if name.endswith(TEXTS)}
        return {name.removesuffix(TEXTS): text.split("\n") for name, text in texts.items()}

    return parts.once("generated texts", lines)


def _joined(before: list[str], index: str, parts: Parts) -> np.ndarray:
    """One line for each document, as `search.lexical` keeps them."""
    assert parts.drift is not None, "asked for only where documents came and went"
    lines = [""] * len(parts.corpus)
    for row, text in zip(parts.drift.rows.tolist(), before, strict=True):
        if row >= 0:
            lines[row] = text
    for row, own in zip(parts.drift.joined.tolist(), parts.drift.texts, strict=True):
        lines[row] = own.get(index, "")
    return text_to_array("\n".join(lines))
