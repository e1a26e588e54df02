"""A training log reads as curves over all stages, and what is no log is named by line."""

import json

import pytest

from retrograd.errors import InputError
from retrograd.evaluation.training_log import Curve, read_training_log


def write(path, *lines):
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return path


def step(stage, number, **terms):
    return {"stage": stage, "step": number, "loss": sum(terms.values()), "terms": terms, "learning_rate": 0.1}


def test_the_gradient_norm_is_a_curve_of_its_own(tmp_path):
    lines = [step(0, at, sequence=1.0) | {"gradient_norm": at / 10} for at in (10, 20)]
    log = read_training_log(write(tmp_path / "metrics.jsonl", *lines))
    assert log.gradients == {"gradient norm": [Curve([10, 20], [1.0, 2.0])]}


def test_steps_count_on_from_stage_to_stage(tmp_path):
    log = read_training_log(
        write(
            tmp_path / "metrics.jsonl",
            step(0, 10, sequence=2.0) | {"name": "first"},
            step(0, 20, sequence=1.0) | {"name": "first"},
            {"stage": 0, "step": 20, "name": "first", "measure": "nDCG@10", "value": 0.3},
            {"stage": 0, "step": 20, "name": "first", "skipped": "the loss is nan", "documents": [1]},
            step(1, 5, sequence=0.5, contrastive=0.25) | {"name": "second"},
            {"stage": 1, "step": 5, "name": "second", "measure": "nDCG@10", "validation": 0.4},
        )
    )
    assert log.losses == {
        "sequence": [Curve([10, 20], [2.0, 1.0]), Curve([25], [0.5])],
        "contrastive": [Curve([25], [0.25])],
        "total": [Curve([25], [0.75])],
    }
    assert log.validations == {"nDCG@10": [Curve([20], [0.3]), Curve([25], [0.4])]}
    assert log.rates == {"learning rate": [Curve([10, 20], [0.1, 0.1]), Curve([25], [0.1])]}
    assert log.stages == (("first", 0), ("second", 20))
    assert log.steps == 25


def test_a_step_logged_twice_counts_as_logged_last(tmp_path):
    lines = [step("s", 10, a=1.0), step("s", 20, a=9.0), step("s", 20, a=3.0), step("s", 15, a=2.0)]
    log = read_training_log(write(tmp_path / "m", *lines))
    assert log.losses == {"a": [Curve([10, 15, 20], [1.0, 2.0, 3.0])]}


@pytest.mark.parametrize(
    "bad",
    [
        '{"torn',
        "[]\n",
        '{"loss": 1}\n',
        '{"stage": 0, "step": "x", "loss": 1}\n',
        '{"measure": "P@1"}\n',
        "\n",
    ],
)
def test_a_bad_line_is_named(tmp_path, bad):
    path = write(tmp_path / "metrics.jsonl", step("s", 1, a=1.0), bad)
    with pytest.raises(InputError, match=r"metrics\.jsonl:2: "):
        read_training_log(path)


def test_a_log_without_figures_is_refused(tmp_path):
    with pytest.raises(InputError, match="no loss"):
        read_training_log(write(tmp_path / "m", {"stage": 0, "step": 1}))
    with pytest.raises(InputError, match="cannot be read"):
        read_training_log(tmp_path / "missing")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot be read"):
        read_training_log(tmp_path / "bytes")


def test_smoothing_leaves_a_constant_alone():
    assert Curve([1, 2, 3], [2.0, 2.0, 2.0]).smoothed(share=1.0) == [2.0, 2.0, 2.0]
