"""One battery over every named system: fitted, asked, saved, opened again, grown."""

import re

import pytest

from retrograd.data.dataset import load_dataset
from retrograd.errors import InputError
from retrograd.recipe import differences, from_json, to_json
from retrograd.recipes import RECIPES, recipe
from retrograd.recipes.bibliography import BIBTEX
from retrograd.search.generative import GenerativeSearcher
from retrograd.search.learning import takes_text
from retrograd.system import System, part_kinds
from retrograd.training.fit import fit
from retrograd.types import Document, Query
from retrograd.updates.insert import insert
from tests.small_systems import small

QUERIES = [Query("a", "depth of an image"), Query("b", "translate text"), Query("c", "")]


@pytest.fixture(scope="module")
def dataset(tiny_data):
    return load_dataset(tiny_data)


LEARNS_FROM_BOTH = ("search_and_recommendation",)
"""Needs histories as well as queries; has a test file of its own."""

ASKED_WITH_TEXT = [
    name for name in RECIPES if takes_text(recipe(name).search) and name not in LEARNS_FROM_BOTH
]
"""The others are asked with histories, see `test_recommendation`."""


@pytest.fixture(scope="module", params=ASKED_WITH_TEXT)
def system(request, dataset, tmp_path_factory):
    return fit(small(recipe(request.param)), dataset, tmp_path_factory.mktemp("fitted") / request.param)


def test_every_answer_is_a_document_once_and_in_order(system):
    for k in (1, 7, 10_000):
        for _, hits in system.search(QUERIES, k=k):
            documents = [hit.document for hit in hits]
            assert len(documents) == len(set(documents)) <= min(k, len(system.corpus))
            assert set(documents) <= set(system.corpus.ids)
            scores = [hit.score for hit in hits]
            assert scores == sorted(scores, reverse=True)


def test_asking_for_everything_returns_everything_where_scores_are_dense(system):
    if system.table is not None:
        assert all(len(hits) == len(system.corpus) for _, hits in system.search(QUERIES, k=10_000))


def test_a_batch_answers_like_its_queries_alone(system):
    together = system.search(QUERIES, k=10).documents()
    for query in QUERIES:
        assert system.search([query], k=10).documents()[query.id] == together[query.id]


def test_a_path_is_the_key_of_the_document_it_found(system):
    for _, hits in system.search(QUERIES, k=5):
        for hit in hits:
            assert bool(hit.path) == (system.table is not None)
            if system.table is not None:
                row = system.corpus.row_of[hit.document]
                assert hit.path in {system.table.key(key) for key in system.table.keys_of(row)}
                if isinstance(system.searcher, GenerativeSearcher):  # others rank by more than the path
                    assert sum(hit.step_scores) == pytest.approx(hit.score, rel=1e-4)


def test_an_opened_system_answers_as_it_did_when_it_was_fitted(system):
    assert System.load(system.folder).search(QUERIES, k=10) == system.search(QUERIES, k=10)


def test_the_same_seed_gives_the_same_answers(system, dataset, tmp_path):
    again = fit(small(recipe(system.recipe.name)), dataset, tmp_path / "again")
    assert again.search(QUERIES, k=10) == system.search(QUERIES, k=10)


def test_inserted_documents_are_there_and_the_old_ids_stay(system):
    added = [
        Document(f"new{number}", f"weather forecast number {number}", f"weather/{number}")
        for number in range(3)
    ]
    grown = insert(system, added)
    assert grown.corpus.ids == (*system.corpus.ids, "new0", "new1", "new2")
    if system.table is not None:
        for row in range(len(system.corpus)):
            before = [system.table.key(key) for key in system.table.keys_of(row)]
            assert [grown.table.key(key) for key in grown.table.keys_of(row)] == before
    found = {hit.document for hit in grown.search("weather forecast", k=len(grown.corpus)).hits[0]}
    assert {"new0", "new1", "new2"} <= found
    with pytest.raises(InputError, match="new0"):
        insert(grown, added)


def test_the_card_and_the_manifest_say_where_the_system_comes_from(system, dataset):
    card = (system.folder / "README.md").read_text()
    assert system.recipe.name in card
    assert dataset.name in card
    assert dict(system.manifest["data_hashes"]) == dict(dataset.hashes)
    assert (system.folder / "training.png").exists() == bool(system.recipe.stages)
    assert not list(system.folder.glob("stage-*")), "checkpoints stay behind"


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_json_and_cites_what_exists(name):
    value = recipe(name)
    assert value.name == name
    assert set(value.cites) <= BIBTEX.keys()
    assert all(re.search(rf"@\w+\{{{key},", text) for key, text in BIBTEX.items())
    again = from_json(to_json(value), part_kinds(), keep_unknown=True)
    assert to_json(again) == to_json(value)
    assert {path.rpartition(".")[2] for path, _, _ in differences(value, again)} <= {"objective"}


def test_an_unknown_recipe_names_the_known_ones():
    with pytest.raises(InputError, match=r"no recipe is called 'bm26'.*bm25, .*dense"):
        recipe("bm26")
