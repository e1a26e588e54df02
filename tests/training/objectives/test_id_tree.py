"""The likelihood of ids in a tree: what a softmax over all items down their paths gives."""

import numpy as np
import pytest
import torch

from retrograd.data.sequences import pack
from retrograd.errors import InputError
from retrograd.training.batches import Batch
from retrograd.training.objectives import IdTreeLikelihood
from tests.models.test_id_tree import KEYS, built

LISTS = [np.array(items) for items in ([3, 1, 4], [0, 6], [5, 2, 3, 1])]
TARGETS = [np.array(items) for items in ([1, 4, 2], [6, 5], [2, 3, 1, 0])]


def batch_of(model):
    rows, targets = pack(LISTS, 6), pack(TARGETS, 6)
    return Batch(inputs=model.collate(rows, np.arange(len(rows))), documents=torch.from_numpy(targets.items))


@pytest.mark.parametrize("keys", [KEYS, [*KEYS[:-1], [0, 4, 0]]])
def test_terms_add_up_to_minus_the_log_probability_of_the_targets(keys):
    model = built(keys)
    batch = batch_of(model)
    terms = IdTreeLikelihood()(model, batch)
    states = model.states(batch.inputs)[batch.documents >= 0]
    expected = 0.0
    for state, target in zip(states, batch.documents[batch.documents >= 0], strict=True):
        for level, choice in enumerate(model.choices(state[None], target[None])):
            if not len(choice.targets):
                continue
            scores = model.turned(state, level) @ choice.classes.T
            among = scores[choice.starts[choice.groups[0]] : choice.starts[choice.groups[0] + 1]]
            expected -= among.log_softmax(0)[choice.targets[0] - choice.starts[choice.groups[0]]].item()
    assert sum(term.item() for term in terms.values()) == pytest.approx(expected / len(states), rel=1e-4)
    assert list(terms) == [f"level_{level}" for level in range(1, len(keys[-1]) + 1)]


def test_every_part_of_the_network_learns():
    model = built(reads_text=True)
    sum(IdTreeLikelihood()(model, batch_of(model)).values()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_examples_without_a_target_at_every_position_are_refused():
    model = built()
    batch = batch_of(model)
    with pytest.raises(InputError, match="EveryPrefix"):
        IdTreeLikelihood()(model, Batch(inputs=batch.inputs, documents=torch.tensor([1, 2])))
