"""What a stage sets in torch for its steps is as before afterwards."""

import torch
from torch import nn

from retrograd.training.torch_state import deterministic, seed_torch, without_gradient


def test_weights_that_do_not_learn_take_no_gradient_until_the_end():
    model = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1), nn.Linear(1, 1)])
    model[2].weight.requires_grad_(False)
    before = [weight.requires_grad for weight in model.parameters()]
    with without_gradient(model, model[0].parameters()):
        assert [weight.requires_grad for weight in model.parameters()] == [True, True, *[False] * 4]
    assert [weight.requires_grad for weight in model.parameters()] == before


def test_random_numbers_of_the_caller_are_left_alone():
    cpu = torch.device("cpu")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with deterministic(cpu):
        seed_torch(cpu, 9)
        torch.rand(7)
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.rand(3), expected)
