"""Rotations stay rotations while they learn, and the one for product codes loses less than none."""

import numpy as np
import pytest
import torch

from retrograd.errors import ArtifactError
from retrograd.quantizers.product import ProductQuantizer
from retrograd.quantizers.rotation import (
    OptimisedProduct,
    Rotation,
    balanced_axes,
    cayley,
    optimised_rotation,
    procrustes,
)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def stretched(n: int = 300, d: int = 12) -> np.ndarray:
    """Correlated vectors whose variance lies in few directions, none of them an axis."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((d, d)))[0]
    return (rng.standard_normal((n, d)) * 2.0 ** -np.arange(d) @ turn).astype(np.float32)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
def test_a_cayley_matrix_is_a_rotation_whatever_it_is_made_of(scale):
    turned = cayley(scale * drawn(2, 5, 5))
    identity = torch.eye(5, dtype=torch.float64).expand(2, 5, 5)
    torch.testing.assert_close(turned @ turned.mT, identity, atol=1e-12, rtol=0)
    torch.testing.assert_close(
        torch.linalg.det(turned), torch.ones(2, dtype=torch.float64), atol=1e-9, rtol=0
    )


def test_its_gradient_is_right_twice():
    free = drawn(3, 3).requires_grad_()
    assert torch.autograd.gradcheck(cayley, free)
    assert torch.autograd.gradgradcheck(cayley, free)


def test_a_rotation_starts_where_it_is_told_and_refuses_what_is_none():
    start = torch.linalg.qr(drawn(4, 4))[0]
    torch.testing.assert_close(Rotation(start)(), start)
    for wrong in (2 * start, start[:3], torch.zeros(4, 4)):
        with pytest.raises(ValueError, match="orthogonal"):
            Rotation(wrong)


def test_procrustes_finds_the_rotation_that_was_made():
    vectors, turn = stretched(), np.linalg.qr(np.random.default_rng(1).standard_normal((12, 12)))[0]
    found = procrustes(vectors, vectors @ turn.T)
    np.testing.assert_allclose(vectors @ found.T, vectors @ turn.T, atol=1e-4)


def test_balanced_axes_give_every_subspace_the_same_product_of_variances():
    vectors = stretched()
    for subspaces in (2, 3, 5):
        rotation = balanced_axes(vectors, subspaces)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(12), atol=1e-5)
        logs = [np.log(p.var(axis=0)).sum() for p in np.array_split(vectors @ rotation.T, subspaces, axis=1)]
        plain = [np.log(p.var(axis=0)).sum() for p in np.array_split(np.sort(vectors), subspaces, axis=1)]
        if 12 % subspaces == 0:
            assert np.ptp(logs) < 3 * np.log(4), (logs, plain)


def test_codes_lose_less_with_each_step_of_the_way():
    vectors, lost = stretched(), []
    for rotation in (np.eye(12, dtype=np.float32), optimised_rotation(vectors, 3, 8, seed=0)):
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(12), atol=1e-5)
        turned = vectors @ rotation.T
        fitted = ProductQuantizer.fit(turned, 3, 8, seed=0)
        lost.append(float(((turned - fitted.decode(fitted.encode(turned))) ** 2).sum()))
    assert lost[1] < 0.8 * lost[0]
    np.testing.assert_array_equal(
        optimised_rotation(vectors, 3, 8, seed=0), optimised_rotation(vectors, 3, 8, seed=0)
    )


def test_constant_vectors_have_a_rotation_too():
    rotation = optimised_rotation(np.ones((5, 4), np.float32), 2, 3, seed=0)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(4), atol=1e-5)


def test_a_stored_rotation_that_does_not_fit_is_refused():
    vectors = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
    quantizer = OptimisedProduct(iterations=2).fit(vectors, 2, 4, seed=0)
    assert np.array_equal(
        ProductQuantizer.from_state(quantizer.state()).encode(vectors), quantizer.encode(vectors)
    )
    with pytest.raises(ArtifactError, match="does not fit"):
        ProductQuantizer.from_state(quantizer.state() | {"rotation": np.eye(3, dtype=np.float32)})


def test_a_rotation_loses_less_than_codes_of_the_axes_as_they_are():
    generator = np.random.default_rng(0)
    vectors = (generator.normal(size=(400, 8)) * np.array([4, 4, 4, 4, 0.1, 0.1, 0.1, 0.1])).astype(
        np.float32
    )
    plain = ProductQuantizer.fit(vectors, 2, 16, seed=0)
    turned = OptimisedProduct().fit(vectors, 2, 16, seed=0)
    lost = [np.square(q.decode(q.encode(vectors)) - vectors).sum() for q in (plain, turned)]
    assert lost[1] < 0.8 * lost[0]
