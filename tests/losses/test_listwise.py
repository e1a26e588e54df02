"""ListNet and ListMLE: cross-entropy of two softmaxes, and the probability of an order."""

from itertools import permutations

import torch
from torch.nn import functional as F

from retrograd.losses.listwise import list_mle, listnet


def test_listnet_is_cross_entropy_with_soft_targets():
    scores, labels = torch.randn(3, 5, dtype=torch.float64), torch.rand(3, 5, dtype=torch.float64)
    torch.testing.assert_close(listnet(scores, labels), F.cross_entropy(scores, labels.softmax(-1)))


def test_listnets_gradient_is_the_difference_of_the_softmaxes():
    scores = torch.randn(5, dtype=torch.float64, requires_grad=True)
    labels = torch.rand(5, dtype=torch.float64)
    listnet(scores, labels).backward()
    torch.testing.assert_close(scores.grad, scores.detach().softmax(-1) - labels.softmax(-1))


def test_list_mle_adds_up_to_1_over_all_orders():
    scores = 2 * torch.randn(5, dtype=torch.float64)
    total = sum(torch.exp(-list_mle(scores, torch.tensor(labels))) for labels in permutations(range(5)))
    torch.testing.assert_close(total, torch.tensor(1.0, dtype=torch.float64), atol=1e-12, rtol=0)


def test_list_mle_takes_equal_labels_as_they_stand():
    scores = torch.randn(4, dtype=torch.float64)
    as_they_stand = list_mle(scores, torch.tensor([4, 3, 2, 1]))
    torch.testing.assert_close(list_mle(scores, torch.tensor([1, 1, 0, 0])), as_they_stand)
