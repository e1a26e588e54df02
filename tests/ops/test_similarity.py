"""Similarities: their identities, and what padding does to them."""

import torch

from retrograd.ops.similarity import cosine, dot, maxsim, standardised


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_gradient_of_a_cosine_is_at_right_angles_to_the_query():
    queries = drawn(4, 5).requires_grad_()
    (gradient,) = torch.autograd.grad(cosine(queries, drawn(4, 6, 5, seed=1)).sum(), queries)
    torch.testing.assert_close((gradient * queries).sum(-1), torch.zeros(4, dtype=torch.float64))


def test_a_cosine_with_nothing_is_0_and_finite_backwards():
    queries = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    found = cosine(queries, drawn(1, 2, 3))
    assert not found.any()
    assert torch.autograd.grad(found.sum(), queries)[0].isfinite().all()


def test_an_added_coordinate_makes_inner_products_distances():
    keys, queries = drawn(20, 4), drawn(3, 4, seed=1)
    largest = keys.norm(dim=-1).max()
    wide = torch.cat([keys, (largest**2 - keys.norm(dim=-1) ** 2).clamp(min=0).sqrt().unsqueeze(-1)], -1)
    wide_queries = torch.cat([queries, torch.zeros(3, 1, dtype=torch.float64)], -1)
    by_distance = torch.cdist(wide_queries, wide).argsort(-1)
    assert torch.equal(by_distance, dot(queries, keys.expand(3, 20, 4)).argsort(-1, descending=True))


def test_maxsim_is_the_double_loop_and_padding_changes_nothing():
    queries, tokens = drawn(2, 3, 4), drawn(2, 5, 6, 4, seed=1)
    by_hand = torch.stack(
        [
            torch.stack([sum((q @ document.T).max() for q in question) for document in documents])
            for question, documents in zip(queries, tokens, strict=True)
        ]
    )
    torch.testing.assert_close(maxsim(queries, tokens), by_hand)
    padded = torch.cat([tokens, torch.zeros(2, 5, 2, 4, dtype=torch.float64)], 2)
    longer = torch.cat([queries, torch.zeros(2, 1, 4, dtype=torch.float64)], 1)
    torch.testing.assert_close(maxsim(longer, padded), by_hand)


def test_standardised_scores_forget_affine_changes_and_padding():
    scores = drawn(3, 6)
    where = torch.arange(6) < torch.tensor([[6], [4], [1]])
    found = standardised(scores, where)
    torch.testing.assert_close(found, standardised(7 * scores - 3, where))
    torch.testing.assert_close(found[1, :4], standardised(scores[1, :4]))
    assert not found[~where].any()
    assert not found[2].any()


def test_scores_that_are_all_alike_stay_silent_and_finite():
    scores = torch.full((2, 4), 0.1, dtype=torch.float64, requires_grad=True)
    found = standardised(scores)
    assert not found.any()
    assert torch.autograd.grad(found.sum(), scores)[0].isfinite().all()
