"""Training and inference agree where they must, and part by as much as can be computed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.errors import InputError
from retrograd.evaluation.diagnostics.agreement import Relaxation, train_inference_agreement


def case(seed=0, n=200, d=8, sizes=(16, 8)):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), [rng.standard_normal((size, d)) for size in sizes]


@given(st.integers(0, 2**32))
def test_without_noise_and_temperature_soft_is_hard(seed):
    vectors, books = case(seed, n=20)
    found = train_inference_agreement(
        vectors, books, Relaxation(scale=100, temperature=1e-6, noise_scale=0), seed=0
    )
    for level in found.levels:
        assert (level.noisy_is_clean, level.soft_is_hard) == (1, 1)
        assert level.soft_gap == pytest.approx(0, abs=1e-6)
    assert (found.same_key, found.total_gap) == (1, pytest.approx(0, abs=1e-6))


def test_the_first_level_of_both_paths_is_one_and_the_same():
    vectors, books = case()
    found = train_inference_agreement(vectors, books, Relaxation(), seed=0)
    assert found.levels[0].soft_is_hard == 1
    assert found.same_key <= found.levels[1].soft_is_hard < 1


def test_noise_keeps_the_argmax_as_often_as_the_softmax_says():
    # Gumbel-max: P(argmax of s + g = k) is softmax(s)_k; two codes at cosines 1 and 0, scale a
    vectors, book = np.tile([1.0, 0.0], (20_000, 1)), np.eye(2)
    for scale in (0.5, 2.0):
        found = train_inference_agreement(vectors, [book], Relaxation(scale=scale), seed=0)
        assert found.levels[0].noisy_is_clean == pytest.approx(1 / (1 + np.exp(-scale)), abs=0.01)


def test_the_gap_of_one_vector_is_what_the_softmax_leaves():
    # p = softmax(a, 0) on orthonormal codes: soft - hard = (p1 - 1, p2), of length sqrt(2) p2
    p2 = 1 / (1 + np.exp(3.0 / 0.5))
    found = train_inference_agreement(
        np.array([[2.0, 0.0]]), [np.eye(2)], Relaxation(scale=3.0, temperature=0.5, noise_scale=0), seed=0
    )
    assert found.levels[0].soft_gap == pytest.approx(np.sqrt(2) * p2)
    assert found.total_gap == pytest.approx(np.sqrt(2) * p2)


def test_cooling_closes_the_gap_only_when_the_noise_fades_too():
    vectors, books = case()
    gap = {
        (temperature, noise): train_inference_agreement(
            vectors, books, Relaxation(temperature=temperature, noise_scale=noise), seed=0
        ).total_gap
        for temperature in (1.0, 0.1)
        for noise in (1.0, 0.0)
    }
    assert gap[0.1, 0.0] < 0.5 * gap[0.1, 1.0]
    assert gap[0.1, 0.0] < gap[1.0, 0.0]


def test_the_same_seed_gives_the_same_figures_and_lengths_do_not_matter_to_cosines():
    vectors, books = case()
    one = train_inference_agreement(vectors, books, Relaxation(), seed=3)
    assert one == train_inference_agreement(vectors, books, Relaxation(), seed=3)
    assert one != train_inference_agreement(vectors, books, Relaxation(), seed=4)
    first = train_inference_agreement(5 * vectors, books[:1], Relaxation(), seed=3).levels[0]
    assert first == train_inference_agreement(vectors, books[:1], Relaxation(), seed=3).levels[0]
    dot = Relaxation(cosine=False)
    assert first != train_inference_agreement(5 * vectors, books[:1], dot, seed=3).levels[0]


def test_a_scale_per_level_reaches_its_level():
    vectors, books = case()
    both = train_inference_agreement(vectors, books, Relaxation(scale=(30.0, 0.001)), seed=0)
    one = train_inference_agreement(vectors, books, Relaxation(scale=30.0), seed=0)
    assert both.levels[0] == one.levels[0]
    assert both.levels[1].noisy_is_clean < 0.25 < one.levels[1].noisy_is_clean


def test_it_follows_the_quantiser_that_trains():
    torch = pytest.importorskip("torch")
    from retrograd.quantizers.soft_residual import Scoring, SoftResidual

    vectors, books = case(n=50)
    config = SoftResidual(scoring=Scoring(scale="fixed", initial_scale=12.0))
    quantiser = config.build([book.astype(np.float32) for book in books])
    points = torch.tensor(vectors, dtype=torch.float32)
    soft = quantiser(points, temperature=0.7, noise=0.0)
    hard = quantiser.assign(points)
    found = train_inference_agreement(
        vectors, books, Relaxation(scale=12.0, temperature=0.7, noise_scale=0.0), seed=0
    )
    same = (soft.codes == hard).double().mean(dim=0)
    assert [level.soft_is_hard for level in found.levels] == pytest.approx(same.tolist(), abs=1e-9)
    total = quantiser.lookup(hard).sum(dim=1)
    gap = (soft.reconstruction - total).norm(dim=1) / total.norm(dim=1)
    assert found.total_gap == pytest.approx(gap.mean().item(), rel=1e-4)


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"noise_scale": -1.0}])
def test_a_relaxation_that_means_nothing_is_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Relaxation(**wrong)


@pytest.mark.parametrize(
    ("vectors", "books"),
    [(np.ones((2, 3)), [np.ones((4, 2))]), (np.ones((2, 3)), []), (np.ones((0, 3)), [np.ones((4, 3))])],
)
def test_arrays_that_do_not_fit_are_refused(vectors, books):
    with pytest.raises(InputError):
        train_inference_agreement(vectors, books, Relaxation(), seed=0)
