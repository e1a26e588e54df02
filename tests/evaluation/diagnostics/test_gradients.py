"""Gradient norms are summed up stage by stage; draws of a gradient are compared as geometry says."""

import json

import numpy as np
import pytest

from retrograd.errors import InputError
from retrograd.evaluation.diagnostics.gradients import gradient_draws, gradient_summary


def log(path, *stages):
    lines = [
        {"stage": at, "name": name, "step": 10 * number, "loss": 1.0, "gradient_norm": norm}
        for at, (name, norms) in enumerate(stages)
        for number, norm in enumerate(norms, 1)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_warm_up_is_left_out_and_spikes_are_named_by_step(tmp_path):
    norms = [50.0, 1.0, 1.0, 9.0, *[1.0] * 16]
    (found,) = gradient_summary(log(tmp_path / "m", ("joint", norms)))
    kept = np.array(norms[1:])  # 6 % of 200 steps is step 12
    assert (found.stage, found.points) == ("joint", 19)
    assert found.mean == pytest.approx(kept.mean())
    assert found.median == 1
    assert found.variance == pytest.approx(kept.var())
    assert (found.largest, found.largest_step) == (9.0, 40)
    assert found.spikes == (40.0,)


def test_stages_count_their_steps_on_and_keep_their_own_warm_up(tmp_path):
    found = gradient_summary(log(tmp_path / "m", ("one", [1.0] * 10), ("two", [9.0, 2.0, 3.0])), warmup=0.5)
    assert [(stage.stage, stage.points, stage.largest_step) for stage in found] == [
        ("one", 5, 60),
        ("two", 2, 130),
    ]


def test_a_log_without_gradients_has_no_summary(tmp_path):
    (tmp_path / "m").write_text('{"stage": 0, "step": 1, "loss": 1.0}\n')
    assert gradient_summary(tmp_path / "m") == ()


def test_a_broken_log_is_named_by_line_and_a_wrong_share_refused(tmp_path):
    (tmp_path / "m").write_text('{"stage": 0, "step": 1, "loss": 1.0}\n{"stage": 0, "loss": "x"}\n')
    with pytest.raises(InputError, match="m:2: "):
        gradient_summary(tmp_path / "m")
    with pytest.raises(InputError, match="warmup=1"):
        gradient_summary(tmp_path / "m", warmup=1.0)


def test_draws_around_a_truth_have_the_cosine_and_bias_of_their_noise():
    rng = np.random.default_rng(0)
    truth = np.ones(400)
    draws = truth + rng.standard_normal((50, 400))
    found = gradient_draws(draws, truth)
    # |g|^2 is about 400 + 400, g.h about 400: cosine 1/2; deviation |noise| / |truth| = 1
    assert found.mean_cosine == pytest.approx(0.5, abs=0.02)
    assert found.relative_deviation == pytest.approx(1, abs=0.05)
    assert found.relative_bias == pytest.approx(1 / np.sqrt(50), abs=0.02)
    assert gradient_draws(draws, -truth).relative_bias == pytest.approx(2, abs=0.1)


def test_equal_draws_agree_and_draws_that_cancel_have_no_direction():
    same = gradient_draws([np.array([1.0, 2.0])] * 3)
    assert (same.mean_cosine, same.relative_deviation) == (pytest.approx(1), 0)
    assert np.isnan(same.relative_bias)
    opposite = gradient_draws([np.array([1.0, 0.0]), np.array([-1.0, 0.0])])
    assert (opposite.mean_cosine, opposite.relative_deviation) == (-1, np.inf)


@pytest.mark.parametrize(
    "gradients", [[np.ones(3)], [np.ones(3), np.ones(4)], [np.ones(2), np.array([1.0, np.nan])]]
)
def test_what_cannot_be_compared_is_refused(gradients):
    with pytest.raises(InputError):
        gradient_draws(gradients)


def test_a_reference_of_another_length_is_refused():
    with pytest.raises(InputError, match="does not fit"):
        gradient_draws(np.ones((2, 3)), np.ones(4))
