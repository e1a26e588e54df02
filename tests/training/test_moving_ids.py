"""Ids that follow the model through a fit: refreshed, logged, alarmed about, and saved as they ended."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from retrograd.data.dataset import load_dataset
from retrograd.recipes import recipe
from retrograd.recipes.dgi import dgi
from retrograd.system import System
from retrograd.training.fit import fit
from retrograd.training.metrics_log import read_metrics
from retrograd.training.objectives.indexing import JointIndexing
from tests.small_systems import small


@pytest.fixture(scope="module")
def dataset(tiny_data):
    return load_dataset(tiny_data)


def shrunk(**stage):
    parent = small(dgi(), steps=stage.pop("steps", 8))
    return replace(
        parent,
        docids=replace(parent.docids, codes=(8, 4)),
        stages=(replace(parent.stages[0], **stage),),
    )


def test_the_saved_table_is_what_the_saved_network_says(dataset, tmp_path):
    system = fit(shrunk(learning_rate=1e-2), dataset, tmp_path / "s")
    vectors = system.model.document_vectors(system.corpus.contents)
    codes = system.model.document_codes(vectors)
    own = [system.table.padded[system.table.keys_of(row)[0]] for row in range(len(system.corpus))]
    assert np.array_equal(codes, own)
    again = System.load(tmp_path / "s")
    assert again.search("depth", k=3).documents() == system.search("depth", k=3).documents()


def test_drift_is_logged_from_the_first_step_to_the_last(dataset, tmp_path):
    fit(shrunk(learning_rate=1e-2), dataset, tmp_path / "s")
    seen = [line for line in read_metrics(tmp_path / "s") if "watched" in line]
    assert seen[0]["step"] == 0
    assert seen[-1]["step"] == 8
    assert all(len(line["watched"]["changed"]) == 2 for line in seen)
    assert seen[0]["watched"]["changed"] == [0.0, 0.0]


def test_an_interrupted_fit_ends_with_the_ids_and_the_log_steps_of_an_uninterrupted_one(
    dataset, tmp_path, monkeypatch
):
    whole = fit(shrunk(), dataset, tmp_path / "whole")
    objective, calls = JointIndexing.__call__, []

    def stopping(self, model, batch):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return objective(self, model, batch)

    monkeypatch.setattr(JointIndexing, "__call__", stopping)
    with pytest.raises(KeyboardInterrupt):
        fit(shrunk(), dataset, tmp_path / "again", checkpoint_seconds=0.0)
    monkeypatch.setattr(JointIndexing, "__call__", objective)
    again = fit(shrunk(), dataset, tmp_path / "again", resume=True)
    assert np.array_equal(whole.table.padded, again.table.padded)
    weights = again.model.state_dict()
    assert all(torch.equal(weight, weights[name]) for name, weight in whole.model.state_dict().items())
    watched = [
        [line["step"] for line in read_metrics(tmp_path / name) if "watched" in line]
        for name in ("whole", "again")
    ]
    assert watched[0] == watched[1]


@pytest.mark.parametrize("cause", ["learning rate", "scale"])
def test_a_collapse_raises_the_alarm_within_an_epoch(dataset, tmp_path, cause):
    stage = shrunk(learning_rate=30.0, warmup=0.0, steps=12)
    if cause == "scale":
        parent = shrunk(learning_rate=0.1, warmup=0.0, steps=60)
        scoring = replace(parent.model.scoring, cosine=False, scale="none")
        quantizer = replace(parent.model.quantizer, scoring=scoring)
        stage = replace(parent, model=replace(parent.model, scoring=scoring, quantizer=quantizer))
    with pytest.warns(RuntimeWarning, match="collapse"):
        fit(stage, dataset, tmp_path / "s")
    alarmed = [line["step"] for line in read_metrics(tmp_path / "s") if line.get("watched", {}).get("alarms")]
    rows = sum(1 for _ in dataset.corpus) * 2  # pseudo-queries alone: two per document here
    assert (
        min(alarmed) * stage.stages[0].batch_size <= rows + len(dataset.queries) + stage.stages[0].batch_size
    )


def test_fixed_ids_stay(dataset, tmp_path):
    system = fit(small(recipe("two_stage")), dataset, tmp_path / "s")
    first = system.recipe.docids
    assert not first.moves
    assert not [line for line in read_metrics(tmp_path / "s") if "watched" in line]
