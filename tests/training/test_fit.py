"""The whole fit: interrupted runs end alike, nothing half-done is published, tune queries stay unseen."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from retrograd import artifacts
from retrograd.data.dataset import load_dataset
from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from retrograd.recipes import recipe
from retrograd.system import System
from retrograd.training import fit as fit_module
from retrograd.training.fit import KeysOf, cut_tune, fit
from tests.recommendation_data import write_shop
from tests.small_systems import small


@pytest.fixture(scope="module")
def dataset(tiny_data):
    return load_dataset(tiny_data)


def test_train_and_tune_part_the_queries(dataset):
    (train, train_qrels), (tune, tune_qrels) = cut_tune(dataset, "train", 0.5)
    everyone = {query.id for query in dataset.split("train")[0]}
    assert {q.id for q in train} | {q.id for q in tune} == everyone
    assert not {q.id for q in train} & {q.id for q in tune}
    assert train_qrels.keys() == {q.id for q in train}
    assert tune_qrels.keys() == {q.id for q in tune}


def test_a_missing_split_is_named_with_those_there_are(dataset, tmp_path):
    with pytest.raises(InputError, match=r"no split 'trian'; it has dev"):
        fit(recipe("bm25"), dataset, tmp_path / "s", train_split="trian")


def test_documents_alone_are_enough(tiny_data, tmp_path):
    only = tmp_path / "only"
    only.mkdir()
    (only / "corpus.jsonl").write_bytes((tiny_data / "corpus.jsonl").read_bytes())
    system = fit(small(recipe("dsi_qg")), load_dataset(only), tmp_path / "s")
    assert system.search("depth", k=3).hits[0]


def test_a_refit_keeps_the_generation_before(dataset, tmp_path):
    out = tmp_path / "s"
    fit(recipe("bm25"), dataset, out)
    fit(small(recipe("dense")), dataset, out)
    assert System.load(out).recipe.name == "dense"
    assert System.load(artifacts.previous_of(out)).recipe.name == "bm25"


def test_something_else_in_the_way_is_left_alone(dataset, tmp_path):
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter.txt").write_text("years of work")
    with pytest.raises(InputError, match="exists and is no retrograd system"):
        fit(recipe("bm25"), dataset, out)
    assert (out / "chapter.txt").read_text() == "years of work"


def test_resume_needs_an_interrupted_run_of_the_same_kind(dataset, tmp_path):
    with pytest.raises(InputError, match="no interrupted run"):
        fit(recipe("bm25"), dataset, tmp_path / "s", resume=True)


@pytest.mark.parametrize("stop_after", ["stage 0", "stage 1"])
def test_an_interrupted_fit_resumes_to_the_same_weights(dataset, tmp_path, monkeypatch, stop_after):
    chosen = small(recipe("ultron_pq"))
    whole = fit(chosen, dataset, tmp_path / "whole", seed=3)
    original = fit_module.train_stage

    def interrupted(*args, stage_index, **rest):
        result = original(*args, stage_index=stage_index, **rest)
        if f"stage {stage_index}" == stop_after:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(fit_module, "train_stage", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(chosen, dataset, tmp_path / "resumed", seed=3)
    monkeypatch.undo()
    assert not (tmp_path / "resumed").exists(), "an unfinished fit is not published"
    with pytest.raises(InputError, match="another recipe, data or seed"):
        fit(chosen, dataset, tmp_path / "resumed", seed=4, resume=True)
    resumed = fit(chosen, dataset, tmp_path / "resumed", seed=3, resume=True)
    for name in ("model.safetensors", "docids.safetensors"):
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_an_interrupted_fit_on_histories_resumes_to_the_same_weights(tmp_path, monkeypatch):
    shop = load_dataset(write_shop(tmp_path / "shop"))
    chosen = small(recipe("sasrec_sampled"), steps=9)
    whole = fit(chosen, shop, tmp_path / "whole", checkpoint_seconds=0)
    original, looks = fit_module.Run.tune_measures, []

    def validate(run, stage):
        def look():
            looks.append(1)
            if len(looks) == 3:
                raise KeyboardInterrupt
            return original(run, run.system())["R@10"]

        return look

    monkeypatch.setattr(fit_module.Run, "_validate", validate)
    with pytest.raises(KeyboardInterrupt):
        fit(chosen, shop, tmp_path / "resumed", checkpoint_seconds=0)
    monkeypatch.undo()
    resumed = fit(chosen, shop, tmp_path / "resumed", resume=True, checkpoint_seconds=0)
    assert (resumed.folder / "model.safetensors").read_bytes() == (
        whole.folder / "model.safetensors"
    ).read_bytes()


def test_a_killed_command_resumes_to_the_same_weights(tiny_data, tmp_path):
    settings = (
        "stages.0.max_steps=60",
        "stages.0.min_steps=60",
        "stages.0.batch_size=16",
        "model.encoder.width=32",
    )
    chosen = [part for setting in settings for part in ("--set", setting)]

    def command(out, *more):
        return [
            sys.executable,
            "-m",
            "retrograd",
            "fit",
            "dsi_qg",
            "--data",
            str(tiny_data),
            "--out",
            str(out),
            *chosen,
            *more,
        ]

    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    out = tmp_path / "killed"
    for more in ((), ("--resume",)):
        process = subprocess.Popen(command(out, *more), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        log = tmp_path / "killed.partial" / "metrics.jsonl"
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline and not log.exists():
            time.sleep(0.05)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
    if not out.exists():
        subprocess.run(command(out, "--resume"), check=True, capture_output=True)
    assert (out / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


def test_a_document_with_several_keys_draws_each_of_them():
    table = DocidTable.from_keys([[0], [1], [2]], [0, 0, 1], ["a", "b"], level_sizes=(3,))
    drawn = KeysOf(table)(np.array([0] * 50 + [1] * 50), np.random.default_rng(0))
    assert set(drawn[:50, 0]) == {0, 1}
    assert set(drawn[50:, 0]) == {2}
