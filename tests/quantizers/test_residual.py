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
