"""The loop: equal seeds give equal bytes, interruption changes nothing, bad steps are not applied."""

import dataclasses
import json
import os
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from reliability.kill_training import CODES, WORDS, KeyWriter
from retrograd.errors import InputError, RetrogradError
from retrograd.recipe import Stage
from retrograd.training.batches import PreparedSource
from retrograd.training.checkpoint import latest_checkpoint
from retrograd.training.loop import LOG_EVERY, MOST_BAD_STEPS, train_stage
from retrograd.training.metrics_log import read_metrics
from retrograd.training.objectives import SequenceLikelihood

KEYS = np.stack([np.arange(24) // CODES, np.arange(24) % CODES], axis=1)


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch):
    """No power is cut here: a killed process loses nothing that it wrote."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@dataclass(frozen=True, kw_only=True)
class Breaking:
    """Likelihood that is NaN in some calls, counted from 0."""

    bad: tuple[int, ...]

    def __call__(self, model, batch):
        call = model.calls = getattr(model, "calls", -1) + 1
        factor = float("nan") if call in self.bad else 1.0
        return {name: term * factor for name, term in SequenceLikelihood()(model, batch).items()}


@dataclass(frozen=True)
class Steep:
    """Likelihood and the root of a zero: finite, with a gradient that is none."""

    def __call__(self, model, batch):
        terms = SequenceLikelihood()(model, batch)
        zero = sum(weight.sum() for weight in model.parameters()) * 0.0
        return {**terms, "root": zero.abs().sqrt()}


def stage(**settings) -> Stage:
    return Stage(
        **({"name": "keys", "objective": SequenceLikelihood(), "examples": (), "batch_size": 8} | settings)
    )


def train(folder, config=None, model=None, *, steps=25, seed=0, stage_index=0, stop=-1, **settings):
    """(model, result) after a stage on 24 documents of random words; interrupted in batch `stop`."""
    words = np.random.default_rng(0).integers(WORDS, size=(24, 5))
    model = model or KeyWriter(width=16)
    batches = iter(range(10_000))

    def keys_of(rows, generator):
        if next(batches) == stop:
            raise KeyboardInterrupt
        return KEYS[rows]

    result = train_stage(
        model,
        config or stage(),
        [PreparedSource(prepared=words, documents=np.arange(24))],
        seed=seed,
        stage_index=stage_index,
        folder=folder,
        steps=steps,
        keys_of=keys_of,
        **settings,
    )
    return model, result


def bytes_of(model) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}


def losses(folder) -> list[float]:
    return [line["loss"] for line in read_metrics(folder) if "loss" in line]


def test_training_learns_and_says_so(tmp_path):
    _, result = train(tmp_path, stage(learning_rate=1e-2), steps=100)
    lines = losses(tmp_path)
    assert len(lines) == 100 // LOG_EVERY
    assert lines[-1] < lines[0] / 2
    assert (result.steps, result.best_step, result.best_measure) == (100, 100, None)


def test_equal_seeds_give_equal_bytes_and_other_seeds_do_not(tmp_path):
    runs = [bytes_of(train(tmp_path / str(n), seed=seed)[0]) for n, seed in enumerate((0, 0, 1))]
    assert runs[0] == runs[1] != runs[2]


def test_global_random_numbers_are_left_as_they_were(tmp_path):
    before = torch.get_rng_state()
    model = KeyWriter(width=16)
    torch.set_rng_state(before)
    train(tmp_path, model=model, steps=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("stop", [0, 3, 17, 24])
@pytest.mark.parametrize(
    "settings",
    [{"weight_decay": 0.1}, {"ema": 0.8}, {"accumulation": 2}, {"validate_every": 5}, {"precision": "bf16"}],
    ids=lambda settings: next(iter(settings)),
)
def test_an_interrupted_run_ends_in_the_same_bytes(tmp_path, settings, stop):
    config, results = stage(**settings), []
    whole, broken, resumed = (KeyWriter(width=16) for _ in range(3))

    def run(name, model, **more):
        measured = {"validate": lambda: float(model.heads.weight[0, 0])} if config.validate_every else {}
        results.append(train(tmp_path / name, config, model, **measured, **more)[1])

    run("whole", whole)
    with pytest.raises(KeyboardInterrupt):
        run("broken", broken, stop=stop, checkpoint_seconds=0.0)
    run("broken", resumed, resume=True)
    assert bytes_of(resumed) == bytes_of(whole)
    assert len({dataclasses.replace(result, seconds=0.0) for result in results}) == 1
    assert timeless(tmp_path / "whole") == timeless(tmp_path / "broken")


def timeless(folder) -> list[dict]:
    return [line | {"seconds": 0} for line in read_metrics(folder)]


def test_a_finished_stage_is_only_loaded(tmp_path):
    model, result = train(tmp_path)
    again, same = train(tmp_path, resume=True, stop=0)
    assert bytes_of(again) == bytes_of(model)
    assert same == result


def test_starting_anew_forgets_this_and_later_stages_only(tmp_path):
    for index in range(3):
        train(tmp_path, steps=10, stage_index=index)
    train(tmp_path, steps=20, stage_index=1)
    assert latest_checkpoint(tmp_path, 2) is None
    assert [(line["stage"], line["step"]) for line in read_metrics(tmp_path)] == [(0, 10), (1, 10), (1, 20)]


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    train(tmp_path)
    for other in ({"seed": 1}, {"steps": 30}, {"config": stage(learning_rate=0.1)}):
        with pytest.raises(InputError, match="other settings"):
            train(tmp_path, resume=True, **other)


def test_the_best_weights_are_kept_and_patience_ends_the_stage(tmp_path):
    seen, measures = {}, {5: 0.1, 10: 0.5, 15: 0.4, 20: 0.5, 25: 0.9}
    model = KeyWriter(width=16)

    def validate():
        step = 5 * len(seen) + 5
        seen[step] = bytes_of(model)
        return measures[step]

    _, result = train(tmp_path, stage(validate_every=5, patience=2), model, steps=50, validate=validate)
    assert (result.steps, result.best_step, result.best_measure) == (20, 10, 0.5)
    assert bytes_of(model) == seen[10]
    assert [line["value"] for line in read_metrics(tmp_path) if "value" in line] == [0.1, 0.5, 0.4, 0.5]


def test_the_average_is_what_is_measured_and_kept(tmp_path):
    seen = []
    model = KeyWriter(width=16)
    train(
        tmp_path, stage(ema=0.9, validate_every=25), model, validate=lambda: seen.append(bytes_of(model)) or 1
    )
    averaged, _ = train(tmp_path / "unmeasured", stage(ema=0.9))
    plain, _ = train(tmp_path / "plain")
    assert bytes_of(model) == seen[-1] == bytes_of(averaged) != bytes_of(plain)


def test_a_bad_step_is_not_applied_and_names_its_documents(tmp_path):
    config = stage(objective=Breaking(bad=(1,)), ema=0.5)
    with pytest.warns(RuntimeWarning, match=r"step 2: the loss is nan.*document rows"):
        model, result = train(tmp_path / "bad", config, steps=2, checkpoint_seconds=0.0)
    assert result.skipped_batches == 1
    (line,) = [line for line in read_metrics(tmp_path / "bad") if "skipped" in line]
    assert line["step"] == 2
    assert set(line["documents"]) <= set(range(24))
    assert len(line["documents"]) == 8
    (after_one,) = (tmp_path / "bad").glob("*-00000001.safetensors")
    average = [tensor for name, tensor in sorted(load_file(after_one).items()) if name.startswith("average.")]
    for kept, before in zip(model.parameters(), average, strict=True):
        assert torch.equal(kept, before)


def test_a_gradient_that_is_no_number_under_a_loss_that_is_one_is_not_applied(tmp_path):
    config = stage(objective=Steep())
    with pytest.warns(RuntimeWarning, match=r"step 1: the loss is \d.*gradient norm nan.*document rows"):
        model, result = train(tmp_path, config, steps=1, checkpoint_seconds=0.0)
    fresh = KeyWriter(width=16)
    assert result.skipped_batches == 1
    assert bytes_of(model) == bytes_of(fresh)


def test_many_bad_steps_in_a_row_end_training_and_keep_the_checkpoint(tmp_path):
    bad = tuple(range(12, 12 + MOST_BAD_STEPS))
    with (
        pytest.warns(RuntimeWarning, match="not applied"),
        pytest.raises(RetrogradError, match="10 steps in a row"),
    ):
        train(tmp_path, stage(objective=Breaking(bad=bad)), checkpoint_seconds=0.0)
    kept = latest_checkpoint(tmp_path, 0)
    assert all(torch.isfinite(tensor).all() for tensor in kept.tensors.values())


def test_one_bad_step_less_does_not(tmp_path):
    bad = tuple(range(12, 11 + MOST_BAD_STEPS))
    with pytest.warns(RuntimeWarning, match="not applied"):
        _, result = train(tmp_path, stage(objective=Breaking(bad=bad)))
    assert result.skipped_batches == MOST_BAD_STEPS - 1


def test_gradients_are_averaged_over_accumulated_batches(tmp_path):
    config = stage(learning_rate=1e-2, clip=0.0)
    models = [KeyWriter(width=16).eval() for _ in range(2)]
    for model in models:
        model.dropout.p = 0.0
    train(tmp_path / "one", dataclasses.replace(config, batch_size=24), models[0], steps=1)
    train(tmp_path / "many", dataclasses.replace(config, accumulation=3), models[1], steps=1)
    one, many = (losses(tmp_path / name)[0] for name in ("one", "many"))
    assert one == pytest.approx(many)
    for left, right in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(left, right, atol=1e-4, rtol=0)


def test_a_model_without_trainable_weights_is_refused(tmp_path):
    with pytest.raises(InputError, match="nothing to train"):
        train(tmp_path, model=KeyWriter(width=16).requires_grad_(False))


def test_metrics_are_plain_json_lines(tmp_path):
    train(tmp_path, steps=10)
    (line,) = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert line.keys() == {
        "stage",
        "step",
        "name",
        "loss",
        "terms",
        "gradient_norm",
        "learning_rate",
        "seconds",
    }
    assert line["loss"] == pytest.approx(sum(line["terms"].values()))
