"""Sequence objectives: likelihood of the keys; with dropout off, consistency adds nothing."""

import numpy as np
import pytest
import torch

from reliability.kill_training import CODES, KeyWriter
from retrograd.errors import InputError
from retrograd.losses.sequence import token_cross_entropy
from retrograd.training.batches import Batch
from retrograd.training.objectives import SequenceConsistency, SequenceLikelihood


@pytest.fixture
def model():
    return KeyWriter()


@pytest.fixture
def batch(model):
    keys = torch.tensor([[0, 1], [2, -1], [CODES - 1, 3]])
    words = np.arange(12).reshape(3, 4)
    return Batch(model.collate(words, np.arange(3)), documents=torch.arange(3), keys=keys)


def test_likelihood_is_the_cross_entropy_of_the_keys(model, batch):
    model.eval()
    (loss,) = SequenceLikelihood().__call__(model, batch).values()
    torch.testing.assert_close(loss, token_cross_entropy(model.logits(batch.inputs, batch.keys), batch.keys))


def test_without_dropout_two_passes_agree(model, batch):
    model.eval()
    terms = SequenceConsistency(weight=1.0)(model, batch)
    torch.testing.assert_close(terms["likelihood"], SequenceLikelihood()(model, batch)["likelihood"])
    assert terms["consistency"].item() == pytest.approx(0, abs=1e-6)


def test_dropout_masks_disagree_in_proportion_to_the_weight(model, batch):
    values = []
    for weight in (0.5, 1.0):
        torch.manual_seed(0)
        values.append(SequenceConsistency(weight=weight)(model, batch)["consistency"])
    assert values[0] > 0
    torch.testing.assert_close(values[1], 2 * values[0])


@pytest.mark.parametrize("objective", [SequenceLikelihood(), SequenceConsistency()])
def test_a_recipe_without_docids_is_told_so(objective, model, batch):
    without = Batch(batch.inputs, batch.documents)
    with pytest.raises(InputError, match="docid"):
        objective(model, without)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="label_smoothing=1"):
        SequenceLikelihood(label_smoothing=1.0)
    with pytest.raises(ValueError, match="weight=-1"):
        SequenceConsistency(weight=-1.0)
