"""What documents bring along when they join a fitted system: docids, vectors, generated texts, learnt rows.

Every part places them with what it already knows; nothing is trained and nothing that is there moves. How
the change is kept and put together is not decided here.
Shapes: m documents, d dimensions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from retrograd.change_log import Kept, Key
from retrograd.docid_table import DocidTable
from retrograd.docids.edit import edited
from retrograd.search.lexical import expanding, expansions
from retrograd.search.nearest import VECTORS
from retrograd.system import System
from retrograd.training.fit import docid_inputs
from retrograd.training.own_queries import has_rows
from retrograd.types import Corpus, State
from retrograd.updates.solve_row import solve_rows


@dataclass(frozen=True, eq=False)
class Placed:
    """Documents as they can be kept, and what else of the system they changed."""

    kept: tuple[Kept, ...]
    vectors: dict[int, np.ndarray]
    """Place -> (d,); {} in a system without document vectors."""

    level_sizes: tuple[int, ...]
    state: State
    """Arrays of the docid scheme that are others now."""


def placed(
    system: System,
    documents: Corpus,
    places: Sequence[int],
    *,
    without: Collection[str] = (),
    learnt: Mapping[str, Mapping[str, np.ndarray]] | None = None,
) -> Placed:
    """Give documents all they need to be found.

    Args:
        system: as it is now.
        places: a number for each that no document ever had.
        without: ids of documents that leave in the same step; their keys are free.
        learnt: arrays of some documents, by id, in the place of what would be solved for them.
    """

    @cache
    def vectors() -> np.ndarray:
        return np.asarray(system.model.document_vectors(documents.contents), np.float32)

    keys: list[tuple[Key, ...]] = [()] * len(documents)
    sizes, state = (), {}
    if system.table is not None:
        inputs = docid_inputs(
            system.recipe, system.fitted, documents, 0, background=system.parts.base, model=system.model
        )
        if inputs.model_codes is not None:
            inputs = replace(inputs, model_codes=lambda: system.model.document_codes(vectors()))
        before = _without(system.table, without)
        after = system.recipe.docids.insert(before, inputs)
        first = len(before.document_ids)
        keys = after.keys_of_some(range(first, first + len(documents)))
        sizes, state = after.level_sizes, _replaced(before.state, after.state)
    own = _learnt(system, documents, without) | {id: dict(arrays) for id, arrays in (learnt or {}).items()}
    texts = _texts(system, documents)
    kept = tuple(
        Kept(place, document, key, said, own.get(document.id, {}))
        for place, document, key, said in zip(places, documents, keys, texts, strict=True)
    )
    made = dict(zip(places, vectors(), strict=True)) if VECTORS in system.parts.arrays else {}
    return Placed(kept, made, sizes, state)


def _without(table: DocidTable, ids: Collection[str]) -> DocidTable:
    """The table after some documents left it; one that would be empty keeps its first document, nameless."""
    if not ids:
        return table
    stays = np.array([id not in ids for id in table.document_ids])
    names = np.array(table.document_ids, object)
    if not stays[table.pairs[:, 1]].any():
        stays[table.pairs[0, 1]], names[table.pairs[0, 1]] = True, ""
    return edited(table, np.where(stays, np.cumsum(stays) - 1, -1), names[stays].tolist())


def _replaced(before: State, after: State) -> State:
    return {
        name: array
        for name, array in after.items()
        if name not in before or (array is not before[name] and not np.array_equal(array, before[name]))
    }


def _learnt(system: System, documents: Corpus, without: Collection[str]) -> dict[str, State]:
    if not has_rows(system.recipe, system.parts):
        return {}
    base = system.base
    gone = base.corpus.row_of.keys() - (system.corpus.row_of.keys() - set(without))
    # an id that was updated names other contents now
    rows = system.parts.drift.rows if system.parts.drift is not None else np.zeros(0)
    gone |= {base.corpus[row].id for row in np.flatnonzero(rows < 0).tolist()}
    return solve_rows(base, documents, gone=gone)


def _texts(system: System, documents: Corpus) -> list[dict[str, str]]:
    """What is indexed behind the words of each, by index."""
    found: list[dict[str, str]] = [{} for _ in documents]
    for config in expanding(system.recipe.search):
        assert config.expansion is not None, "only such are asked for"
        for own, text in zip(found, expansions(config.expansion, documents, system.parts.base), strict=True):
            own[config.folder] = text
    return found
