"""Light training teaches new documents, keeps ids and the system it started from, and refuses nonsense."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from retrograd import artifacts
from retrograd.data.dataset import load_dataset
from retrograd.data.examples import DocumentText, ExampleContext, PseudoQueries, TrainQueries
from retrograd.errors import InputError
from retrograd.recipes import recipe
from retrograd.system import System
from retrograd.training.fit import fit
from retrograd.types import Corpus, Document
from retrograd.updates.insert import insert
from retrograd.updates.replay import Only, Replay, last_stage, train
from tests.small_systems import small

NEW = [Document(f"new{at}", f"a forecast of rain and wind number {at}", f"weather {at}") for at in range(6)]
IDS = [document.id for document in NEW]
TRAINED = (
    "dsi_atomic",
    "dsi_semantic",
    "generative",
    "genre",
    "ultron_pq",
    "dual_encoder",
    "dual_encoder_hard",
    "dual_encoder_lexical",
    "dgi",
    "dgi_plus",
    "unisearch_like",
)


@pytest.fixture(scope="module")
def dataset(tiny_data):
    return load_dataset(tiny_data)


@pytest.fixture(scope="module", params=TRAINED)
def grown(request, dataset, tmp_path_factory):
    """As somebody has it who opens a saved system: the objectives of its stages are not built."""
    folder = tmp_path_factory.mktemp(request.param) / "s"
    insert(fit(small(recipe(request.param)), dataset, folder), NEW).save(folder)
    return System.load(folder)


def keys(system):
    table = system.table
    return (
        []
        if table is None
        else [[table.key(at) for at in table.keys_of(row)] for row in range(len(system.corpus))]
    )


def test_weights_move_and_ids_stay(grown):
    before = {name: tensor.clone() for name, tensor in grown.model.state_dict().items()}
    after = train(grown, IDS, Replay(steps=3))
    moved = {
        name for name, tensor in after.model.state_dict().items() if not torch.equal(before[name], tensor)
    }
    assert moved
    assert keys(after) == keys(grown)
    assert all(torch.equal(before[name], tensor) for name, tensor in grown.model.state_dict().items())
    if hasattr(grown.model, "document_codes"):
        assert not any(name.startswith(("space.", "quantizer.")) for name in moved)
        vectors = after.model.document_vectors(after.corpus.contents)
        np.testing.assert_array_equal(
            after.model.document_codes(vectors), grown.model.document_codes(vectors)
        )


def test_two_runs_give_the_same_weights(grown):
    one, again = (train(grown, IDS, Replay(steps=2)).model.state_dict() for _ in range(2))
    other = train(grown, IDS, Replay(steps=2, seed=1)).model.state_dict()
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_what_was_trained_replaces_the_system_and_can_grow_again(grown, tmp_path):
    folder = tmp_path / "s"
    grown.save(folder)
    after = train(grown, IDS, Replay(steps=2))
    after.save(folder)
    opened = System.load(folder)
    queries = ["rain and wind", "depth of an image"]
    assert opened.search(queries, k=5).documents() == after.search(queries, k=5).documents()
    assert System.load(artifacts.previous_of(folder)).search(queries, k=5) == grown.search(queries, k=5)
    assert len(insert(opened, [Document("later", "snow")]).corpus) == len(grown.corpus) + 1
    assert len(opened.manifest["stages"]) == len(grown.manifest["stages"]) + 1


def test_new_documents_are_learnt(dataset, tmp_path):
    chosen = small(recipe("dsi_qg"), steps=150)
    fitted = fit(chosen, dataset, tmp_path / "s")
    before = insert(fitted, NEW)
    after = train(
        before,
        IDS,
        Replay(steps=60, share_of_new=0.5, learning_rate_factor=1.0),
        judged=dataset.split("train"),
    )
    questions = [f"forecast of rain and wind number {at}" for at in range(len(NEW))]

    def found(system):
        return sum(
            bool(set(IDS) & set(found)) for found in system.search(questions, k=3).documents().values()
        )

    assert found(after) == len(NEW)
    assert found(after) >= found(before)


def test_systems_without_stages_are_refused(dataset, tmp_path):
    for name in ("bm25", "dense", "click_memo"):
        grown = insert(fit(small(recipe(name)), dataset, tmp_path / name), NEW)
        with pytest.raises(InputError, match=f"'{name}' has no stage to train"):
            train(grown, IDS)


def test_documents_must_be_named_and_known(dataset, tmp_path):
    system = fit(small(recipe("dsi_qg")), dataset, tmp_path / "s")
    with pytest.raises(InputError, match="no document to learn"):
        train(system, [])
    with pytest.raises(InputError, match="'elsewhere' is not in the system"):
        train(system, ["elsewhere", *system.corpus.ids[:2]])


def test_every_document_may_be_new(dataset, tmp_path):
    system = fit(small(recipe("dsi_qg")), dataset, tmp_path / "s")
    assert train(system, system.corpus.ids, Replay(steps=1)).corpus.ids == system.corpus.ids


def test_judgements_of_documents_that_are_gone_are_passed_over(dataset, tmp_path):
    system = fit(small(recipe("dsi_qg")), dataset, tmp_path / "s")
    queries, qrels = dataset.split("train")
    judged = queries, {query: {**found, "elsewhere": 1} for query, found in qrels.items()}
    one, two = (
        train(system, system.corpus.ids[:3], Replay(steps=1), judged=j) for j in ((queries, qrels), judged)
    )
    after = two.model.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in one.model.state_dict().items())


def test_wrong_options_are_refused():
    for wrong in ({"steps": 0}, {"share_of_new": 0.0}, {"share_of_new": 1.5}, {"learning_rate_factor": 0.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Replay(**wrong)


def test_a_stage_without_pseudo_queries_gets_them():
    sources = [mix.source for mix in last_stage(recipe("dsi_atomic")).examples]
    assert sources[:-1] == [mix.source for mix in recipe("dsi_atomic").stages[-1].examples]
    assert isinstance(sources[-1], PseudoQueries)
    assert last_stage(recipe("dgi_plus")) == recipe("dgi_plus").stages[-1]


def test_replayed_texts_are_those_of_the_fit(dataset):
    old = dataset.corpus
    together = Corpus([*old, *NEW])
    source = PseudoQueries(per_document=4)
    first = source(ExampleContext(old))
    some = frozenset(old.ids[3:7])
    only = Only(documents=frozenset(old.ids), cut=some, background=old)
    again = only.of(source)(ExampleContext(together))
    kept = [
        (text, row) for text, row in zip(first.texts, first.documents, strict=True) if old.ids[row] in some
    ]
    assert kept == list(zip(again.texts, again.documents, strict=True))


def test_a_source_leads_to_its_documents_only(dataset):
    queries, qrels = dataset.split("train")
    context = ExampleContext(dataset.corpus, queries, qrels)
    everything = TrainQueries()(context)
    target = dataset.corpus.ids[everything.documents[0]]
    only = Only(documents=frozenset([target]), cut=frozenset([target]), background=None)
    for source in (TrainQueries(), DocumentText(), PseudoQueries()):
        found = only.of(source)(context)
        assert len(found)
        assert {dataset.corpus.ids[row] for row in found.documents.tolist()} == {target}
    nested = only.of(replace(last_stage(recipe("dgi_plus")).examples[0].source, source=DocumentText()))
    assert isinstance(nested.source(context).documents, np.ndarray)
