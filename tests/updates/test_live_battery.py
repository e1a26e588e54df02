"""One battery over every named system while documents come and go: what is asked, reopened, undone."""

from dataclasses import replace

import pytest

from retrograd.data.dataset import load_dataset
from retrograd.errors import InputError
from retrograd.indexes.faiss_index import Hnsw, Ivf
from retrograd.live_folder import check_system
from retrograd.recipe import Recipe
from retrograd.recipes import RECIPES, recipe
from retrograd.search.code_sequences import CodeSequenceScores
from retrograd.search.nearest import Nearest
from retrograd.search.tree_search import TreeSearch
from retrograd.system import System
from retrograd.training.fit import fit
from retrograd.types import Document, History, Query
from retrograd.updates.live import Change, LiveSystem
from tests.small_systems import small

NEW = [Document(f"new{n}", f"a forecast of rain number {n}", f"weather {n}", {"n": n}) for n in range(6)]
OTHERS = {
    "hnsw": Nearest(index=Hnsw(neighbours=8)),
    "ivf": Nearest(index=Ivf(lists=4, probes=2)),
    "tree": TreeSearch(branching=(4, 4)),
}

COUNTING = ("Popular", "TransitionKNN", "ItemKNN", "SequenceModelScores")
"""Nobody took a document that is new, so they cannot propose it."""


def made(name: str) -> Recipe:
    """A named system, or dense vectors under another index, before any training: changes ask for none."""
    found = replace(recipe("dense"), search=OTHERS[name]) if name in OTHERS else small(recipe(name))
    return replace(small(found), name=name, stages=())


def different(names: list[str]) -> list[str]:
    """Without those that differ from an earlier one in their training alone."""
    first: dict[tuple, str] = {}
    for name in names:
        value = made(name)
        first.setdefault((repr(value.docids), repr(value.model), repr(value.search)), name)
    return list(first.values())


@pytest.fixture(scope="module", params=different([*RECIPES, *OTHERS]))
def fitted(request, tiny_data, tmp_path_factory):
    dataset, folder = load_dataset(tiny_data), tmp_path_factory.mktemp("live") / request.param
    taken = {f"u{n}": History(f"u{n}", dataset.corpus.ids[n : n + 6]) for n in range(20)}
    try:
        return fit(made(request.param), dataset, folder).folder
    except InputError:  # it learns from what users took
        return fit(made(request.param), replace(dataset, histories=taken), folder).folder


def asked(system: System):
    """Queries with and without words of the new documents, and a history that loses an item."""
    ids = system.base.corpus.ids
    return [
        Query("old", "depth of an image", (ids[3], ids[5])),
        Query("new", "forecast of rain number 2", (ids[0],)),
        Query("none", "", (ids[4],)),
    ]


def answers(system: System, k: int = 10):
    return system.search(asked(system), k)


def all_answers(system: System):
    """Everything that can be answered: a beam whose width is its own finds no more than so many."""
    search = system.recipe.search
    if isinstance(search, CodeSequenceScores):
        return replace(search, width=0).build(system.parts).search(asked(system), 10_000)
    return answers(system, 10_000)


def keys(system: System) -> dict:
    """The docids of every document."""
    if system.table is None:
        return {}
    return {
        id: {system.table.key(key) for key in system.table.keys_of(row)}
        for id, row in system.corpus.row_of.items()
    }


def test_a_state_is_the_same_now_and_when_opened_again_and_can_be_undone(fitted):
    with LiveSystem.open(fitted) as live:
        fresh, ids, old_keys = answers(live.system), live.system.corpus.ids, keys(live.system)
        states = [(fresh, ids)]
        updated = Document(ids[2], "rain and nothing but rain", "weather")
        live.add(NEW[:4])
        states.append(settled(live, fitted))
        live.update([updated])
        states.append(settled(live, fitted))
        live.delete([ids[3], "new1"])
        states.append(settled(live, fitted))
        live.apply(Change(put=(NEW[4], replace(NEW[0], text="snow and rain")), delete=(ids[4],)))
        states.append(settled(live, fitted))
        assert live.system.corpus.ids == (
            *(id for at, id in enumerate(ids) if at not in (2, 3, 4)),
            "new2",
            "new3",
            ids[2],
            "new4",
            "new0",
        )
        found = {hit.document for hits in all_answers(live.system).hits for hit in hits}
        assert not found & {ids[3], ids[4], "new1"}
        search = live.system.recipe.search
        if not all(type(part).__name__ in COUNTING for part in getattr(search, "experts", (search,))):
            assert {"new0", "new2", "new3", "new4"} <= found
        now = keys(live.system)
        assert all(now[id] == old_keys[id] for id in now.keys() & old_keys.keys() - {ids[2]})
        assert check_system(fitted) == []
        for number in (2, 4, 0, 3):
            live.rollback(number)
            assert (answers(live.system), live.system.corpus.ids) == states[number]
            assert settled(live, fitted) == states[number]
        assert [one.number for one in live.history()] == list(range(8, -1, -1))
        live.compact()
        assert live.system.parts.drift is None
        assert live.system.corpus.ids == states[3][1]
        for number in (4, 0):
            live.rollback(number)
            assert live.system.corpus.ids == states[number][1]
            assert (
                {id: now[id] for id in now} == keys(live.system)
                if number == 4
                else keys(live.system) == old_keys
            )
            settled(live, fitted)
        assert check_system(fitted) == []


def settled(live: LiveSystem, folder):
    """Answers and order of documents, which are those of a system opened from the folder."""
    opened = System.load(folder)
    state = answers(live.system), live.system.corpus.ids
    assert (answers(opened), opened.corpus.ids) == state
    assert opened.generation == live.generation
    assert keys(opened) == keys(live.system)
    assert opened.places.tolist() == live.system.places.tolist()
    return state
