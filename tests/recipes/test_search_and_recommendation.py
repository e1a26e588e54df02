"""One fitted system for texts, histories and both: learnt, measured on both kinds of splits, kept."""

from dataclasses import replace

import pytest

from retrograd.data.both_tasks import load_both_tasks
from retrograd.data.dataset import load_dataset
from retrograd.errors import InputError
from retrograd.evaluation.measures import evaluate
from retrograd.recipe import Mix
from retrograd.recipes import recipe
from retrograd.system import System
from retrograd.training.fit import fit
from retrograd.types import Document, Query
from retrograd.updates.insert import insert
from retrograd.updates.live import LiveSystem
from retrograd.updates.replay import train
from tests.both_tasks_data import WORDS, write_searched_shop
from tests.recommendation_data import ITEMS
from tests.small_systems import small

ASKED = [
    Query("text", "wash"),
    Query("history", "", ("comb0", "comb1")),
    Query("both", "wash", ("soap0", "comb1")),
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder, table = write_searched_shop(tmp_path_factory.mktemp("data") / "shop")
    return load_both_tasks(folder, table, requests=True)


def quick(steps=60, only=None):
    """The recipe cut down; with the examples of one place alone where that is named."""
    chosen = small(recipe("search_and_recommendation"), steps)
    (stage,) = chosen.stages
    examples = stage.examples if only is None else (stage.examples[only],)
    stage = replace(stage, batch_size=4, learning_rate=5e-3, examples=examples)
    model = replace(chosen.model, layers=1, heads=2, dropout=0.0)
    return replace(chosen, stages=(stage,), model=model)


@pytest.fixture(scope="module")
def system(dataset, tmp_path_factory):
    return fit(quick(), dataset, tmp_path_factory.mktemp("fitted") / "system")


def test_the_kind_that_is_meant_is_found_by_text_by_history_and_by_both(system):
    found = system.search(ASKED, k=3).documents()
    assert all(item.startswith("soap") for item in found["text"])
    assert all(item.startswith("comb") for item in found["history"])
    assert all(item.startswith("soap") and item != "soap0" for item in found["both"])


@pytest.mark.parametrize("split", ["dev", "next_item_dev"])
def test_both_kinds_of_splits_are_answered_better_than_by_chance(system, dataset, split):
    queries, qrels = dataset.split(split)
    recall = evaluate(system.search(queries, k=5), qrels, ["R@5"]).mean["R@5"]
    assert recall > 5 / (len(ITEMS) - 5)


def test_the_network_of_one_task_does_not_know_the_other(dataset, tmp_path):
    queries = [Query(word, word) for word in WORDS.values()]
    right = {word: {item: 1 for item in ITEMS if item.startswith(kind)} for kind, word in WORDS.items()}

    def found(system):
        return evaluate(system.search(queries, k=6), right, ["R@6"]).mean["R@6"]

    recommender = fit(quick(only=0), dataset, tmp_path / "recommender")
    searcher = fit(quick(only=1), dataset, tmp_path / "searcher")
    assert found(searcher) > 0.9 > found(recommender)


def test_it_opens_again_and_the_same_data_give_the_same_bytes(system, dataset, tmp_path):
    assert System.load(system.folder).search(ASKED, k=10) == system.search(ASKED, k=10)
    again = fit(quick(), dataset, tmp_path / "again")
    weights = [(folder / "model.safetensors").read_bytes() for folder in (system.folder, again.folder)]
    assert weights[0] == weights[1]


def test_items_come_and_go(system, tmp_path):
    system.save(tmp_path / "live")
    with LiveSystem.open(tmp_path / "live") as live:
        live.add([Document("soap9", "", "soap number 9")])
        live.delete(["comb2"])
        for query, hits in zip(ASKED, live.search(ASKED, k=len(ITEMS)).hits, strict=True):
            items = {hit.document for hit in hits}
            assert "soap9" in items, query
            assert "comb2" not in items, query
        assert live.search([Query("q", "", ("soap9", "comb2"))], k=3).hits[0]
        before = live.search(ASKED, k=5)
    assert System.load(tmp_path / "live").search(ASKED, k=5) == before


def test_a_request_that_says_nothing_is_refused(system):
    with pytest.raises(InputError, match="neither a text nor a history"):
        system.search([Query("q", "")], k=3)


def test_a_search_set_alone_is_enough_to_learn_search_from(tiny_data, tmp_path):
    system = fit(quick(4), load_dataset(tiny_data), tmp_path / "search")
    assert system.search("depth of an image", k=3).hits[0]


def test_a_saved_system_does_not_hold_the_histories_to_train_on(system):
    grown = insert(system, [Document("soap9", "", "soap number 9")])
    with pytest.raises(InputError, match="learns from what users took"):
        train(grown, ["soap9"])


def test_histories_alone_and_texts_without_askers_are_enough_to_learn_from(dataset, tmp_path):
    histories = replace(dataset, queries={}, qrels={}, asked={}, slices={})
    assert fit(quick(4), histories, tmp_path / "histories").search(ASKED, k=2).hits[1]
    queries, qrels = dataset.split("train")
    plain = {query.id: replace(query, history=()) for query in queries}
    texts = replace(dataset, queries=plain, qrels={"train": qrels}, asked={}, slices={})
    assert fit(quick(4), texts, tmp_path / "texts").search(ASKED, k=2).hits[0]


def test_the_mix_is_configuration():
    from retrograd.cli.settings import configured

    chosen = configured("search_and_recommendation", ["stages.0.examples.1.weight=7"])
    assert isinstance(chosen.stages[0].examples[1], Mix)
    assert chosen.stages[0].examples[1].weight == 7
