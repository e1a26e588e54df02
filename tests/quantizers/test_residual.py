"""Residual quantisation: coarse to fine."""

import numpy as np

from retrograd.quantizers.kmeans import kmeans
from retrograd.quantizers.residual import ResidualQuantizer

VECTORS = np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32)


def test_every_level_lowers_the_error():
    errors = []
    for levels in range(1, 5):
        quantizer = ResidualQuantizer.fit(VECTORS, levels, 8, seed=0)
        errors.append(((quantizer.decode(quantizer.encode(VECTORS)) - VECTORS) ** 2).mean())
    assert errors == sorted(errors, reverse=True)
    assert len(set(errors)) == len(errors)


def test_a_longer_code_begins_with_the_shorter_one():
    short, long = (ResidualQuantizer.fit(VECTORS, levels, 8, seed=0) for levels in (2, 4))
    assert np.array_equal(long.encode(VECTORS)[:, :2], short.encode(VECTORS))


def test_the_first_level_is_plain_k_means():
    _, assignment = kmeans(VECTORS, 8, seed=(0, 0))
    assert np.array_equal(ResidualQuantizer.fit(VECTORS, 3, 8, seed=0).encode(VECTORS)[:, 0], assignment)


def test_standardised_codes_are_those_of_standardised_vectors_and_still_add_up():
    wide = VECTORS * np.array([100, 1, 1, 1, 1, 1], np.float32)
    fitted = ResidualQuantizer.fit(wide, 2, 8, seed=0, standardise=True)
    unit = ResidualQuantizer.fit(wide / wide.std(axis=0), 2, 8, seed=0)
    assert (fitted.encode(wide) == unit.encode(wide / wide.std(axis=0))).all(axis=1).mean() > 0.98
    plain = ResidualQuantizer.fit(wide, 2, 8, seed=0)
    left = [
        np.abs(quantizer.decode(quantizer.encode(wide)) - wide)[:, 1:].mean() for quantizer in (fitted, plain)
    ]
    assert left[0] < 0.8 * left[1], "narrow dimensions are heard"


def test_a_dimension_that_never_differs_does_no_harm():
    flat = np.column_stack([VECTORS, np.full(len(VECTORS), 3.0)]).astype(np.float32)
    fitted = ResidualQuantizer.fit(flat, 2, 8, seed=0, standardise=True)
    np.testing.assert_allclose(fitted.decode(fitted.encode(flat))[:, -1], 3.0, rtol=1e-5)


def test_balanced_codebooks_use_their_codes_more_alike():
    skewed = np.exp(2 * VECTORS)
    plain, balanced = (
        ResidualQuantizer.fit(skewed, 1, 16, seed=0, balance=balance).encode(skewed)[:, 0]
        for balance in (False, True)
    )
    assert np.bincount(balanced).max() < np.bincount(plain).max()
