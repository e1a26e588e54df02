"""What every quantiser promises: codes in range, frozen encoding, state that builds it again."""

from types import SimpleNamespace

import numpy as np
import pytest

from retrograd.errors import ArtifactError, InputError
from retrograd.quantizers import (
    CONFIGS,
    QUANTIZERS,
    OptimisedProduct,
    ResidualAutoencoder,
    ResidualKMeans,
)

SETTINGS = {
    "rotated": OptimisedProduct(iterations=3),
    "standardised": ResidualKMeans(standardise=True),
    "balanced": ResidualKMeans(balance=True),
    "small autoencoder": ResidualAutoencoder(hidden=(32,), width=8),
    "balanced autoencoder": ResidualAutoencoder(hidden=(), width=8, balance=True, reset_every=0),
}
CHOSEN = {
    name: SimpleNamespace(fit=config.fit, from_state=QUANTIZERS[config.quantizer].from_state)
    for name, config in SETTINGS.items()
}
KINDS = {**QUANTIZERS, **CHOSEN}


def normal(rows, dimensions=10, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, dimensions)).astype(np.float32)


def error(quantizer, vectors):
    return float(((quantizer.decode(quantizer.encode(vectors)) - vectors) ** 2).sum(axis=1).mean())


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


def test_every_config_is_of_a_registered_quantizer_and_tried_here():
    assert {type(config) for config in SETTINGS.values()} == set(CONFIGS)
    assert all(config.quantizer in QUANTIZERS for config in CONFIGS)


def test_codes_are_in_range_and_decode_to_the_shape_they_came_from(kind):
    vectors = normal(80)
    quantizer = kind.fit(vectors, 3, 8, seed=0)
    codes = quantizer.encode(vectors)
    assert codes.shape == (80, 3)
    assert codes.dtype == np.int64
    assert codes.min() >= 0
    assert codes.max() < 8
    assert quantizer.decode(codes).shape == vectors.shape
    assert quantizer.decode(codes).dtype == np.float32


def test_the_state_builds_the_same_quantizer(kind):
    vectors = normal(80)
    quantizer = kind.fit(vectors, 3, 8, seed=0)
    again = kind.from_state(quantizer.state() | {"another": np.zeros(1)})
    assert all(type(array) is np.ndarray for array in quantizer.state().values())
    assert np.array_equal(quantizer.encode(normal(20, seed=1)), again.encode(normal(20, seed=1)))


def test_same_seed_same_bytes(kind):
    states = [kind.fit(normal(80), 3, 8, seed=5).state() for _ in range(2)]
    assert states[0].keys() == states[1].keys()
    assert all(states[0][name].tobytes() == states[1][name].tobytes() for name in states[0])


def test_more_codes_leave_less_error(kind):
    vectors = normal(300)
    errors = [error(kind.fit(vectors, 2, codes, seed=0), vectors) for codes in (1, 4, 16, 64)]
    assert errors == sorted(errors, reverse=True)


def test_the_last_code_is_the_nearest_by_its_own_distances(kind):
    vectors = normal(80)
    quantizer = kind.fit(vectors, 3, 8, seed=0)
    distances = quantizer.last_distances(vectors)
    assert np.array_equal(distances.argmin(axis=1), quantizer.encode(vectors)[:, -1])


def test_one_vector_or_equal_vectors_get_one_code(kind):
    for vectors in (normal(1), np.repeat(normal(1), 20, axis=0)):
        quantizer = kind.fit(vectors, 2, 8, seed=0)
        assert not quantizer.encode(vectors).any()
        np.testing.assert_allclose(quantizer.decode(quantizer.encode(vectors)), vectors, rtol=1e-5)


def test_no_vectors_encode_to_no_codes(kind):
    quantizer = kind.fit(normal(8), 2, 4, seed=0)
    assert quantizer.encode(np.empty((0, 10))).shape == (0, 2)


def test_vectors_of_another_encoder_are_refused(kind):
    with pytest.raises(InputError, match="encoder they were fitted with"):
        kind.fit(normal(8), 2, 4, seed=0).encode(normal(8, dimensions=9))


def test_a_state_without_codebooks_is_refused(kind):
    with pytest.raises(ArtifactError, match="missing"):
        kind.from_state({"codebook.1": np.zeros((1, 1))})


def test_no_level_is_refused(kind):
    with pytest.raises(InputError, match="must be"):
        kind.fit(normal(8), 0, 4, seed=0)
