"""Running shares: an exponential mean in training, a constant elsewhere, saved with the weights."""

import pytest
import torch

from retrograd.models.running_shares import RunningShares

BATCHES = [torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 0.5, 0.5]), torch.tensor([0.2, 0.3, 0.5])]


def test_shares_are_an_exponential_mean_that_starts_even():
    shares, expected = RunningShares((3,), 0.9), torch.full((3,), 1 / 3)
    for batch in BATCHES:
        expected = 0.9 * expected + 0.1 * batch
        (found,) = shares([batch])
        torch.testing.assert_close(found, expected)
    assert float(found.sum()) == pytest.approx(1)


def test_only_training_moves_them():
    shares = RunningShares((3, 2), 0.5).eval()
    first, second = shares([BATCHES[0], torch.tensor([1.0, 0.0])])
    assert first.tolist() == pytest.approx([1 / 3] * 3)
    assert second.tolist() == [0.5, 0.5]


def test_a_resumed_run_finds_them_again():
    shares, again = RunningShares((3,), 0.9), RunningShares((3,), 0.9)
    shares([BATCHES[0]])
    again.load_state_dict(shares.state_dict())
    assert torch.equal(shares([BATCHES[1]])[0], again([BATCHES[1]])[0])


def test_what_is_not_finite_is_passed_over_and_what_was_given_out_stays():
    shares = RunningShares((3,), 0.9)
    (before,) = shares([BATCHES[0]])
    kept = before.clone()
    (after,) = shares([torch.tensor([torch.nan, 0.0, 1.0])])
    assert torch.equal(after, kept)
    shares([BATCHES[1]])
    assert torch.equal(before, kept)
