"""Learnt tokens: what passes the rounding, what moves with the matrices, and the face they share."""

import numpy as np
import pytest
import torch

from retrograd.quantizers.learned_tokens import LearnedTokens
from retrograd.quantizers.soft_residual import Scoring

SIZES, D = (7, 5, 3), 6


def quantizer(**choices):
    torch.manual_seed(0)
    return LearnedTokens(**choices).build([np.zeros((size, D)) for size in SIZES]).double()


def points(n=4, seed=1):
    return torch.tensor(np.random.default_rng(seed).standard_normal((n, D)))


@pytest.fixture(params=[0, 9], ids=["linear", "hidden"])
def module(request):
    return quantizer(hidden=request.param)


def test_rounding_a_token_has_the_identity_as_jacobian(module):
    tokens = module.tokens(points(1)).detach()
    module.tokens = lambda given: given  # the tokens themselves as input
    for level in range(len(SIZES)):
        jacobian = torch.autograd.functional.jacobian(
            lambda given, at=level: module(given).prefixes[0, at], tokens
        )[:, 0]
        for earlier in range(len(SIZES)):
            wanted = torch.eye(D) if earlier <= level else torch.zeros(D, D)
            torch.testing.assert_close(jacobian[:, earlier], wanted.double())


def test_the_gradient_of_a_prefix_is_that_of_the_sum_of_its_tokens(module):
    vectors = points().requires_grad_()
    weights = torch.tensor(np.random.default_rng(2).standard_normal((4, 3, D)))
    (through,) = torch.autograd.grad((weights * module(vectors).prefixes).sum(), vectors)
    (plain,) = torch.autograd.grad((weights * module.tokens(vectors).cumsum(dim=1)).sum(), vectors)
    torch.testing.assert_close(through, plain)


def test_prefixes_are_sums_of_hard_codes_and_the_first_token_is_the_vector(module):
    vectors = points()
    found = module(vectors, temperature=1.0, noise=1.0)
    torch.testing.assert_close(found.prefixes, module.lookup(found.codes).cumsum(dim=1))
    torch.testing.assert_close(found.reconstruction, found.prefixes[:, -1])
    assert torch.equal(found.parts[:, 0], vectors)
    assert torch.equal(found.codes, module.assign(vectors))


def test_an_id_is_the_code_of_the_nearest_direction(module):
    with torch.no_grad():
        for mix in module.mixes:
            mix.normal_()
    vectors = points(32)
    tokens = module.tokens(vectors).detach().numpy()
    for level in range(len(SIZES)):
        book = (getattr(module, f"table_{level}") @ module.mixes[level]).detach().numpy()
        cosines = tokens[:, level] @ (book / np.linalg.norm(book, axis=1, keepdims=True)).T
        assert module.assign(vectors)[:, level].tolist() == cosines.argmax(axis=1).tolist()


def test_every_code_moves_though_only_one_was_chosen_and_the_tables_stay(module):
    found = module(points(1))
    loss = (found.residuals.detach() - found.assigned).square().sum()
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    before = [module.codebook(level).detach().clone() for level in range(len(SIZES))]
    tables = [module.get_buffer(f"table_{level}").clone() for level in range(len(SIZES))]
    loss.backward()
    optimiser.step()
    for level, (old, table) in enumerate(zip(before, tables, strict=True)):
        assert (module.codebook(level) - old).norm(dim=1).min() > 1e-6
        assert torch.equal(module.get_buffer(f"table_{level}"), table)


def test_other_codes_can_take_their_place(module):
    vectors = np.random.default_rng(3).standard_normal((40, D))
    books = module.clusters(vectors, seed=0)
    assert [len(book) for book in books] == list(SIZES)
    with torch.no_grad():
        for mix in module.mixes:
            mix.normal_()
    module.restart(books)
    for level, book in enumerate(books):
        np.testing.assert_allclose(module.vectors(level).detach().numpy(), book, atol=1e-6)
    again = quantizer(hidden=module.config.hidden)
    again.load_state_dict(module.state_dict())
    assert torch.equal(again.assign(torch.tensor(vectors)), module.assign(torch.tensor(vectors)))


def test_usage_is_a_distribution_per_level(module):
    found = module(points(), temperature=0.5)
    assert [len(level) for level in found.usage] == list(SIZES) == list(module.level_sizes)
    assert [float(level.sum().detach()) for level in found.usage] == pytest.approx([1, 1, 1])


def test_dot_products_compare_lengths_too_and_bad_widths_are_refused():
    module, vectors = quantizer(scoring=Scoring(cosine=False, scale="none")), points(16)
    scores = vectors @ module.codebook(0).T
    assert torch.equal(module.assign(vectors)[:, 0], scores.argmax(dim=1))
    with pytest.raises(ValueError, match="hidden"):
        LearnedTokens(hidden=-1)
