"""Growing a system leaves the one it grew from alone."""

import numpy as np
import pytest
import torch

from retrograd.artifacts import array_to_text
from retrograd.data.dataset import load_dataset
from retrograd.errors import InputError
from retrograd.recipes import recipe
from retrograd.search.lexical import TEXTS, expanding, expansions
from retrograd.system import System
from retrograd.training.fit import fit
from retrograd.types import Corpus, Document
from retrograd.updates.insert import insert
from tests.small_systems import small

NEW = [
    Document(f"new{number}", f"a forecast of rain number {number}", f"weather {number}")
    for number in range(30)
]


@pytest.fixture(scope="module", params=["dsi_atomic", "dsi_semantic", "generative", "genre"])
def fitted(request, tiny_data, tmp_path_factory):
    return fit(small(recipe(request.param)), load_dataset(tiny_data), tmp_path_factory.mktemp("s") / "s")


def test_the_system_grown_from_is_as_it_was(fitted):
    before = fitted.search("depth of an image", k=5)
    weights = {name: tensor.clone() for name, tensor in fitted.model.state_dict().items()}
    insert(fitted, NEW)
    assert fitted.search("depth of an image", k=5) == before
    assert all(torch.equal(weights[name], tensor) for name, tensor in fitted.model.state_dict().items())


def test_old_documents_keep_their_order_among_themselves(fitted):
    k = len(fitted.corpus) + len(NEW)
    before = fitted.search("depth of an image", k=k).documents()["0"]
    after = insert(fitted, NEW).search("depth of an image", k=k).documents()["0"]
    assert set(after) == set(before) | {document.id for document in NEW}
    if fitted.recipe.name == "dsi_atomic":  # one softmax: new rows change the sum, never the order
        assert [doc for doc in after if doc in set(before)] == before


def test_a_grown_system_can_be_saved_and_grown_again(fitted, tmp_path):
    first = insert(fitted, NEW[:10])
    second = insert(first, NEW[10:])
    assert len(second.corpus) == len(fitted.corpus) + len(NEW)
    assert len(np.unique(second.table.pairs[:, 1])) == len(second.corpus)
    second.save(tmp_path / "grown")
    opened = System.load(tmp_path / "grown")
    assert opened.search("rain", k=5).documents() == second.search("rain", k=5).documents()


def test_nothing_to_insert_is_refused(fitted):
    with pytest.raises(InputError, match="no document"):
        insert(fitted, [])


def test_a_grown_memory_still_remembers_and_can_be_opened(tiny_data, tmp_path):
    fitted = fit(small(recipe("click_memo")), load_dataset(tiny_data), tmp_path / "s")
    asked = load_dataset(tiny_data).split("train")[0]
    counts = [int(hits[0].score) for _, hits in fitted.search(asked, k=1)]
    assert min(counts) >= 1
    insert(fitted, NEW).save(tmp_path / "grown")
    grown = System.load(tmp_path / "grown").search(asked, k=1)
    assert [int(hits[0].score) for _, hits in grown] == counts


def test_a_grown_expanded_index_holds_what_was_generated_for_each_document_when_it_came(tiny_data, tmp_path):
    fitted = fit(small(recipe("bm25_expanded")), load_dataset(tiny_data), tmp_path / "s")
    grown = insert(fitted, NEW)
    (config,) = expanding(fitted.recipe.search)
    new = expansions(config.expansion, Corpus(NEW), fitted.corpus)
    assert [own[config.folder] for own in grown.parts.drift.texts] == new
    grown.save(tmp_path / "grown")
    opened = System.load(tmp_path / "grown")
    lines = array_to_text(opened.parts.arrays[f"{config.folder}{TEXTS}"]).split("\n")
    assert lines[-len(NEW) :] == new
    assert lines[: -len(NEW)] == expansions(config.expansion, fitted.corpus)
    k = len(opened.corpus)
    for one, two in zip(
        grown.search(["rain", "depth"], k).hits, opened.search(["rain", "depth"], k).hits, strict=True
    ):
        assert {hit.document for hit in one} == {hit.document for hit in two}


def test_a_grown_lexical_system_keeps_its_index_when_saved(tiny_data, tmp_path):
    grown = insert(fit(recipe("bm25"), load_dataset(tiny_data), tmp_path / "s"), NEW)
    for _ in range(2):  # saved twice: the second replaces the first
        grown.save(tmp_path / "grown")
    opened = System.load(tmp_path / "grown")
    (before,), (after,) = grown.search("rain", k=50).hits, opened.search("rain", k=50).hits
    assert {hit.document for hit in before} == {hit.document for hit in after} != set()
    assert System.load(tmp_path / "grown").corpus.ids == grown.corpus.ids
