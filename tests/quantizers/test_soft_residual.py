"""The differentiable quantiser: its gradients, its limits, and what the three gradient paths mean."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.errors import InputError
from retrograd.ops.gumbel import gumbel_noise
from retrograd.quantizers.soft_residual import (
    CodeScores,
    Scoring,
    SoftResidual,
    cosine_codebooks,
    encode_by_cosine,
    starting_codebooks,
    starting_codes,
)

SIZES, D = (7, 5, 3), 6


def quantizer(seed=0, **choices):
    rng = np.random.default_rng(seed)
    books = [rng.standard_normal((size, D)) / 2 for size in SIZES]
    return SoftResidual(**choices).build(books).double()


def points(n=4, seed=1):
    return torch.tensor(np.random.default_rng(seed).standard_normal((n, D)))


def quantise(module, vectors, **arguments):
    torch.manual_seed(0)
    return module(vectors, **arguments)


@pytest.mark.parametrize("gradient", ["gumbel", "detached"])
@pytest.mark.parametrize("scoring", [Scoring(initial_scale=3.0), Scoring(cosine=False, scale="none")])
def test_the_gradient_agrees_with_finite_differences(gradient, scoring):
    module = quantizer(gradient=gradient, scoring=scoring)
    vectors = points().requires_grad_()
    books = list(module.codebooks)

    def reconstruction(vectors, *books):
        return quantise(module, vectors, temperature=0.7, noise=1.0).reconstruction

    assert torch.autograd.gradcheck(reconstruction, (vectors, *books), atol=1e-6)
    if gradient == "gumbel":
        sums = lambda v, *b: quantise(module, v, temperature=0.7, noise=1.0).prefixes  # noqa: E731
        assert torch.autograd.gradcheck(sums, (vectors, *books), atol=1e-6)


def test_a_straight_through_prefix_has_the_identity_as_jacobian():
    module, vectors = quantizer(gradient="ste"), points(1)
    for level in range(len(SIZES)):
        jacobian = torch.autograd.functional.jacobian(
            lambda v, at=level: module(v, temperature=1.0, noise=0.0).prefixes[0, at], vectors
        )
        torch.testing.assert_close(jacobian[:, 0], torch.eye(D, dtype=torch.float64))


def test_a_straight_through_prefix_is_the_sum_of_hard_codes():
    module, vectors = quantizer(gradient="ste"), points()
    found = module(vectors, temperature=1.0, noise=1.0)
    torch.testing.assert_close(found.prefixes, module.lookup(found.codes).cumsum(dim=1))


def test_no_gradient_passes_a_detached_prefix_though_its_values_are_the_soft_ones():
    soft, detached = quantizer(gradient="gumbel"), quantizer(gradient="detached")
    vectors = points().requires_grad_()
    one, two = (quantise(m, vectors, temperature=0.5, noise=1.0) for m in (soft, detached))
    torch.testing.assert_close(one.prefixes, two.prefixes)
    assert one.prefixes.requires_grad
    assert not two.prefixes.requires_grad
    assert two.reconstruction.requires_grad


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([5.0, 30.0]))
def test_soft_codes_tend_to_hard_codes_as_temperature_and_noise_go_to_zero(seed, scale):
    module = quantizer(seed, scoring=Scoring(initial_scale=scale))
    vectors = points(seed=seed + 1)
    hard = module.lookup(module.assign(vectors)).cumsum(dim=1)
    gaps = [
        float((quantise(module, vectors, temperature=t, noise=t * t).prefixes - hard).detach().norm())
        for t in (1.0, 1e-7)
    ]
    assert gaps[1] < 1e-6
    assert gaps[1] <= gaps[0]


@settings(max_examples=20, deadline=None)
@given(factor=st.floats(0.01, 100.0), other=st.floats(0.01, 100.0))
def test_cosine_scores_do_not_depend_on_the_lengths_of_either_side(factor, other):
    scores = CodeScores(Scoring(), 1, D).double()
    vectors, book = points(3), points(5, seed=2)
    torch.testing.assert_close(scores(factor * vectors, other * book, 0), scores(vectors, book, 0))


def test_the_gradient_of_a_cosine_scored_code_is_tangent_to_the_sphere():
    book = points(5, seed=2).requires_grad_()
    scores = CodeScores(Scoring(), 1, D).double()(points(3), book, 0)
    torch.nn.functional.cross_entropy(scores, torch.tensor([0, 4, 2])).backward()
    radial = (book * book.grad).sum(dim=1)
    assert radial.abs().max() < 1e-12
    assert book.grad.norm() > 0


def test_a_dot_scored_code_does_grow_along_itself():
    book = points(5, seed=2).requires_grad_()
    scoring = Scoring(cosine=False, scale="none")
    scores = CodeScores(scoring, 1, D).double()(points(3), book, 0)
    torch.nn.functional.cross_entropy(scores, torch.tensor([0, 4, 2])).backward()
    assert (book * book.grad).sum(dim=1).abs().max() > 1e-3


@pytest.mark.parametrize(
    "scale, wanted",
    [("learned", 100.0), ("fixed", 40.0), ("none", 1.0), ("inverse_sqrt", D**-0.5), ("per_level", 100.0)],
)
def test_scales_are_what_they_are_called(scale, wanted):
    scores = CodeScores(Scoring(scale=scale, initial_scale=40.0), 2, D)
    if isinstance(scores.log_scale, torch.nn.Parameter):
        scores.log_scale.data.fill_(50.0)  # far beyond the cap
    assert scores.scale(1).item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("labels", ["clean", "noisy"])
def test_labels_are_the_argmax_they_are_called_after(labels):
    module, vectors = quantizer(labels=labels), points(64)
    found = quantise(module, vectors, temperature=1.0, noise=20.0)
    clean = module.scores(vectors, module.codebooks[0], 0).argmax(dim=-1)
    assert bool((found.codes[:, 0] == clean).all()) == (labels == "clean")


def test_residuals_are_what_earlier_levels_left():
    vectors = points()
    for choices, sums in (({"train_residual": "soft"}, "prefixes"), ({"train_residual": "hard"}, None)):
        module = quantizer(**choices)
        found = quantise(module, vectors, temperature=1.0, noise=1.0)
        left = found.prefixes if sums else found.assigned.cumsum(dim=1)
        torch.testing.assert_close(found.residuals[:, 1:], vectors.unsqueeze(1) - left[:, :-1])


def test_unit_codes_are_summed_normalised():
    module = quantizer(code_vectors="unit")
    looked_up = module.lookup(module.assign(points()))
    torch.testing.assert_close(looked_up.norm(dim=-1), torch.ones(4, len(SIZES), dtype=torch.float64))


def test_assignment_without_noise_is_what_training_targets():
    module, vectors = quantizer(train_residual="hard"), points(32)
    found = quantise(module, vectors, temperature=1.0, noise=0.0)
    assert torch.equal(found.codes, module.assign(vectors))


def test_usage_is_a_distribution_per_level():
    found = quantise(quantizer(), points(), temperature=1.0, noise=1.0)
    assert [len(level) for level in found.usage] == list(SIZES)
    for level in found.usage:
        assert float(level.sum()) == pytest.approx(1.0)


def test_gumbel_noise_has_the_mean_and_variance_of_its_law():
    torch.manual_seed(0)
    noise = gumbel_noise(torch.zeros(200_000, dtype=torch.float64))
    assert float(noise.mean()) == pytest.approx(0.5772, abs=0.02)
    assert float(noise.var()) == pytest.approx(np.pi**2 / 6, abs=0.03)
    assert bool(torch.isfinite(noise).all())


def test_codes_start_as_means_of_what_they_hold():
    vectors = np.random.default_rng(0).standard_normal((60, D)).astype(np.float32)
    books = cosine_codebooks(vectors, (4, 4), seed=0)
    codes = encode_by_cosine(vectors, books)
    residual = vectors - books[0][codes[:, 0]]
    before = np.linalg.norm(vectors, axis=1).mean()
    assert np.linalg.norm(residual, axis=1).mean() < before
    assert np.array_equal(codes, encode_by_cosine(7 * vectors[:, :] / 7, books))


def test_starting_codes_agree_with_the_module_that_takes_them():
    vectors = np.random.default_rng(0).standard_normal((60, D)).astype(np.float32)
    books = cosine_codebooks(vectors, (8, 8), seed=0)
    module = SoftResidual().build(books)
    assert np.array_equal(module.assign(torch.from_numpy(vectors)).numpy(), encode_by_cosine(vectors, books))


def test_vectors_of_another_width_are_refused():
    with pytest.raises(InputError, match="do not fit"):
        encode_by_cosine(np.ones((2, D + 1)), cosine_codebooks(np.eye(D), (2,), seed=0))


def test_what_all_vectors_share_is_taken_from_the_first_scores_and_from_nothing_else():
    plain, centred = quantizer(), quantizer(centre=0.5)
    offset, vectors = 5 * torch.ones(D, dtype=torch.float64), points(8)
    with torch.no_grad():
        centred.centre.copy_(offset)
        for one, two in zip(plain.codebooks, centred.codebooks, strict=True):
            two.copy_(one)
        centred.codebooks[0].add_(offset)
    moved, still = (
        quantise(module.eval(), given) for module, given in ((centred, vectors + offset), (plain, vectors))
    )
    torch.testing.assert_close(moved.codes, still.codes)
    torch.testing.assert_close(moved.residuals[:, 1:], still.residuals[:, 1:])
    torch.testing.assert_close(moved.prefixes, still.prefixes + offset)
    assert torch.equal(centred.assign(vectors + offset), plain.assign(vectors))


def test_the_centre_follows_the_vectors_in_training_only_and_is_saved():
    module, vectors = quantizer(centre=0.75), points(8)
    before = module.centre.clone()
    torch.testing.assert_close(before, module.codebooks[0].mean(dim=0).detach())
    quantise(module.eval(), vectors)
    assert torch.equal(module.centre, before)
    quantise(module.train(), vectors)
    torch.testing.assert_close(module.centre, 0.75 * before + 0.25 * vectors.mean(dim=0))
    quantise(module, vectors * torch.nan)
    assert bool(torch.isfinite(module.centre).all())
    assert "centre" in module.state_dict()
    assert "centre" not in quantizer().state_dict()
    module.restart([book.detach() + 1 for book in module.codebooks])
    torch.testing.assert_close(module.centre, module.codebooks[0].mean(dim=0).detach())


@pytest.mark.parametrize("clusters", ["cosine", "euclidean"])
def test_codes_start_and_restart_by_either_comparison(clusters):
    vectors = np.random.default_rng(0).standard_normal((60, D)).astype(np.float32)
    books = starting_codebooks(vectors, SIZES, seed=0, clusters=clusters)
    assert [len(book) for book in books] == list(SIZES)
    again = quantizer(clusters=clusters).clusters(vectors, seed=0)
    assert all(np.array_equal(one, two) for one, two in zip(books, again, strict=True))
    codes = starting_codes(vectors, books, clusters=clusters)
    left = vectors - sum(book[codes[:, level]] for level, book in enumerate(books))
    assert (left**2).sum() < (vectors**2).sum()
    if clusters == "euclidean":
        gaps = ((vectors[:, None] - books[0]) ** 2).sum(axis=2)
        assert np.array_equal(codes[:, 0], gaps.argmin(axis=1))


def test_what_a_level_adds_is_its_soft_code():
    found = quantise(quantizer(), points(), temperature=1.0, noise=1.0)
    torch.testing.assert_close(found.parts.cumsum(dim=1), found.prefixes)


@pytest.mark.parametrize("choices", [{}, {"gradient": "detached"}])
def test_only_plainly_softened_codes_say_so(choices):
    assert quantizer(**choices).softens
    assert not quantizer(**choices, centre=0.9).softens
    assert not quantizer(gradient="ste").softens


@pytest.mark.parametrize(
    "wrong",
    [
        {"gradient": "x"},
        {"labels": "x"},
        {"code_vectors": "x"},
        {"index_residual": "x"},
        {"clusters": "x"},
        {"centre": 1.0},
    ],
)
def test_unknown_choices_are_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(SoftResidual(), **wrong)
    with pytest.raises(ValueError, match="initial_scale"):
        Scoring(initial_scale=0.0)
