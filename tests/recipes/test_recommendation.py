"""One battery over every recommender: fitted, asked with histories, saved, opened again, grown."""

from dataclasses import replace

import numpy as np
import pytest

from retrograd.data.dataset import load_dataset
from retrograd.data.examples import NextItem
from retrograd.docids.quantised import Quantised
from retrograd.errors import InputError
from retrograd.evaluation.measures import evaluate
from retrograd.quantizers import ResidualAutoencoder
from retrograd.recipe import Mix
from retrograd.recipes import RECIPES, recipe
from retrograd.search.history import WithHistory
from retrograd.search.learning import takes_history, takes_text
from retrograd.system import System
from retrograd.training.fit import fit
from retrograd.types import Document, Query
from retrograd.updates.insert import insert
from retrograd.updates.replay import train
from tests.recommendation_data import ITEMS, KINDS, write_shop
from tests.small_systems import small

ASKED_WITH_HISTORIES = [name for name in RECIPES if not takes_text(recipe(name).search)]
QUERIES = [Query("a", "", ("soap0", "soap1")), Query("b", "", ("comb2",)), Query("c", "")]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return load_dataset(write_shop(tmp_path_factory.mktemp("data") / "shop"))


def quick(name, steps=40):
    """The recipe cut down, and quick to learn."""
    chosen = small(recipe(name), steps=steps)
    changes = {"learning_rate": 5e-3, "batch_size": 4, "validate_every": steps, "measure": "R@2"}
    stages = tuple(replace(stage, **changes) for stage in chosen.stages)
    model = replace(chosen.model, layers=1) if hasattr(chosen.model, "layers") else chosen.model
    return replace(chosen, stages=stages, model=model, docids=few_codes(chosen.docids))


def few_codes(docids):
    """Codes that items of a kind share, of a narrow autoencoder where one makes them."""
    if not isinstance(docids, Quantised):
        return docids
    fitting = docids.fitting
    if isinstance(fitting, ResidualAutoencoder):
        fitting = replace(fitting, hidden=(16,), epochs=200)
    return replace(docids, codes=8, fitting=fitting)


@pytest.fixture(scope="module", params=ASKED_WITH_HISTORIES)
def system(request, dataset, tmp_path_factory):
    return fit(quick(request.param), dataset, tmp_path_factory.mktemp("fitted") / request.param)


def test_the_baselines_are_there():
    wanted = {"pop", "markov", "transition_knn", "transition_knn_wide", "item_knn", "dense_next_item"}
    wanted |= {"sasrec", "sasrec_sampled", "tiger", "tiger_published", "letter", "liger_like"}
    assert wanted <= set(ASKED_WITH_HISTORIES)
    assert all(takes_history(recipe(name).search) for name in ASKED_WITH_HISTORIES)


def test_no_answer_was_taken_before_and_none_comes_twice(system):
    for query, (_, hits) in zip(QUERIES, system.search(QUERIES, k=len(ITEMS)), strict=True):
        items = [hit.document for hit in hits]
        assert len(items) == len(set(items))
        assert not set(items) & set(query.history)


def test_an_opened_system_answers_as_it_did_when_it_was_fitted(system):
    assert System.load(system.folder).search(QUERIES, k=10) == system.search(QUERIES, k=10)


def test_the_same_data_give_the_same_bytes(system, dataset, tmp_path):
    again = fit(quick(system.recipe.name), dataset, tmp_path / "again")
    for name in ("docids.safetensors", "fitted.safetensors", "derived.safetensors", "model.safetensors"):
        if (system.folder / name).exists():
            assert (again.folder / name).read_bytes() == (system.folder / name).read_bytes()


def test_kinds_are_learnt_by_whoever_reads_the_history(system, dataset):
    queries, qrels = dataset.split("dev")
    recall = evaluate(system.search(queries, k=10), qrels, ["R@10"]).mean["R@10"]
    by_chance = 10 / (len(ITEMS) - 5)
    assert (recall > by_chance) == (system.recipe.name not in ("pop", "markov"))


def test_items_that_come_later_are_no_trouble_and_found_by_their_text(system):
    grown = insert(system, [Document("soap9", "", "soap number 9")])
    answers = grown.search([Query("q", "", ("soap0", "soap9"))], k=10).documents()["q"]
    assert "soap9" not in answers
    found = grown.search(QUERIES, k=len(grown.corpus)).documents()["a"]
    by_text = system.recipe.name == "dense_next_item" or system.table is not None
    if by_text:
        assert "soap9" in found
    if system.recipe.stages and not by_text:
        assert "soap9" not in found, "it has no trained row"
    assert set(found) >= set(system.search(QUERIES, k=len(ITEMS)).documents()["a"])


def test_a_collection_without_interactions_is_refused_where_counts_are_needed(tiny_data, tmp_path):
    with pytest.raises(InputError, match="the dataset has no interactions"):
        fit(recipe("transition_knn"), load_dataset(tiny_data), tmp_path / "none")


@pytest.mark.parametrize("cut", ["last", "last_two"])
def test_targets_are_not_learnt_from(tmp_path, cut):
    users = {"u": ["soap0", "soap1", "soap2"], "v": ["comb0", "comb1", "comb2"]}
    dataset = load_dataset(write_shop(tmp_path / "shop", users), cut=cut)
    pop = fit(recipe("pop"), dataset, tmp_path / "pop")
    counts = {hit.document: hit.score for hit in pop.search([Query("q", "")], k=len(ITEMS)).hits[0]}
    targets = {item for qrels in dataset.qrels.values() for grades in qrels.values() for item in grades}
    assert targets
    assert all(counts[item] == 0 for item in targets)


def test_a_network_learns_from_histories_and_is_tuned_on_some_of_them(dataset, tmp_path):
    parent = small(recipe("dual_encoder"))
    stage = replace(parent.stages[0], examples=(Mix(source=NextItem()),), measure="R@10")
    learner = replace(parent, search=WithHistory(search=parent.search), stages=(stage,), tune_fraction=0.5)
    system = fit(learner, dataset, tmp_path / "learnt")
    assert set(system.manifest["measures"]) == {"nDCG@10", "R@10", "R@100"}
    queries, qrels = dataset.split("dev")
    assert set(system.search(queries, k=5).query_ids) == set(qrels)


def steps_of_a_chain(users=120, items=20, length=9, seed=0):
    """User -> items of a world in which each item has two that may follow it, and all are as popular."""
    rng = np.random.default_rng(seed)
    lives = {}
    for user in range(users):
        life = [int(rng.integers(items))]
        while len(life) < length:
            life.append((life[-1] + int(rng.choice([3, 7]))) % items)
        lives[f"u{user}"] = [ITEMS[item] for item in life]
    return lives


@pytest.mark.parametrize("name", ["sasrec", "sasrec_sampled", "tiger"])
def test_a_chain_is_learnt_where_popularity_says_nothing(tmp_path, name):
    dataset = load_dataset(write_shop(tmp_path / "shop", steps_of_a_chain()))
    queries, qrels = dataset.split("dev")
    settings = {"exclude_history": False}
    found = {}
    for each in (quick(name, steps=250), recipe("pop")):
        system = fit(replace(each, search=replace(each.search, **settings)), dataset, tmp_path / each.name)
        found[each.name] = evaluate(system.search(queries, k=2), qrels, ["R@2"]).mean["R@2"]
    assert found[name] > 0.7 > 0.3 > found["pop"]


def test_with_text_an_item_that_came_later_is_recommended(dataset, tmp_path):
    chosen = quick("sasrec")
    reading = replace(chosen, model=replace(chosen.model, reads_text=True))
    system = fit(reading, dataset, tmp_path / "reading")
    grown = insert(System.load(system.folder), [Document("soap9", "", "soap number 9")])
    assert "soap9" in grown.search(QUERIES[:1], k=len(grown.corpus)).documents()["a"]
    assert grown.search([Query("q", "", ("soap9",))], k=3).hits[0]
    grown.save(tmp_path / "grown")
    assert System.load(tmp_path / "grown").search(QUERIES, k=5) == grown.search(QUERIES, k=5)


def test_a_saved_system_does_not_hold_the_histories_to_train_on(dataset, tmp_path):
    system = fit(small(recipe("sasrec")), dataset, tmp_path / "s")
    grown = insert(system, [Document("soap9", "", "soap number 9")])
    with pytest.raises(InputError, match="learns from what users took"):
        train(grown, ["soap9"])


def test_items_nobody_took_are_ranked_by_their_text_where_a_beam_alone_does_not_find_them(dataset, tmp_path):
    chosen = quick("liger_like")
    new = [f"{kind}9" for kind in KINDS]
    grown = insert(
        fit(chosen, dataset, tmp_path / "s"), [Document(item, "", f"{item[:-1]} number 9") for item in new]
    )
    narrow = replace(chosen.search, width=1, adds_untaken=False).build(grown.parts)
    queries, places = dataset.split("dev")[0], []
    for query in queries:
        found = [
            hit for hit in grown.search([query], k=len(grown.corpus)).documents()[query.id] if hit in new
        ]
        assert sorted(found) == sorted(new)
        places.append(found.index(f"{KINDS[int(query.id[1:]) % len(KINDS)]}9"))
        assert not set(new) <= set(narrow.search([query], len(grown.corpus)).documents()[query.id])
    assert np.mean(places) < 1.2 < (len(new) - 1) / 2
    grown.save(tmp_path / "grown")
    assert System.load(tmp_path / "grown").search(queries, k=9) == grown.search(queries, k=9)
