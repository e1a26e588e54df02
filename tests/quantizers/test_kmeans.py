"""k-means: nearest centres, no empty cluster, same seed same bytes."""

import os
from importlib import import_module
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from threadpoolctl import threadpool_limits

from retrograd.errors import InputError
from retrograd.quantizers.kmeans import assign_nearest, kmeans, squared_distances

module = import_module("retrograd.quantizers.kmeans")  # the package gives its name to the function
matrices = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 30), st.integers(1, 4)),
    elements=st.integers(-8, 8).map(float),
)


def brute_force(vectors, centroids):
    return ((vectors[:, None].astype(float) - centroids[None].astype(float)) ** 2).sum(axis=2)


@given(matrices, st.integers(1, 40), st.integers(0, 3), st.booleans())
def test_no_cluster_is_empty_and_there_are_no_more_than_distinct_vectors(vectors, wanted, seed, spherical):
    centroids, assignment = kmeans(vectors, wanted, seed=seed, spherical=spherical)
    assert centroids.dtype == np.float32
    assert assignment.dtype == np.int64
    assert assignment.shape == (len(vectors),)
    assert len(centroids) <= min(wanted, len(np.unique(vectors, axis=0)))
    assert sorted(set(assignment.tolist())) == list(range(len(centroids)))


@given(matrices, st.integers(1, 8), st.integers(0, 3))
def test_every_vector_is_with_its_nearest_centre(vectors, wanted, seed):
    centroids, assignment = kmeans(vectors, wanted, seed=seed)
    assert np.array_equal(assignment, assign_nearest(vectors, centroids))
    distances = brute_force(vectors, centroids)
    own = distances[np.arange(len(vectors)), assignment]
    assert (own <= distances.min(axis=1) + 1e-3).all()


@given(matrices, st.integers(1, 8), st.integers(0, 3), st.booleans())
def test_same_seed_same_bytes(vectors, wanted, seed, spherical):
    one = kmeans(vectors, wanted, seed=seed, spherical=spherical)
    two = kmeans(vectors.copy(), wanted, seed=seed, spherical=spherical)
    assert [part.tobytes() for part in one] == [part.tobytes() for part in two]


@pytest.mark.skipif(os.cpu_count() == 1, reason="one core has one thread")
def test_the_number_of_threads_changes_no_byte():
    vectors = np.random.default_rng(0).normal(size=(3000, 64)).astype(np.float32)
    found = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads, user_api="blas"):
            found.append(kmeans(vectors, 10, seed=0)[0].tobytes())
    assert found[0] == found[1]


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3])
def test_equal_vectors_are_one_cluster(value, scale):
    centroids, assignment = kmeans(np.full((50, 7), value * scale), 8, seed=0)
    assert len(centroids) == 1
    assert not assignment.any()


def test_as_many_clusters_as_vectors_leaves_no_error():
    vectors = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    centroids, assignment = kmeans(vectors, 12, seed=0)
    assert np.array_equal(centroids[assignment], vectors)


def test_separate_blobs_are_found_exactly():
    rng = np.random.default_rng(0)
    blob = np.repeat(np.arange(6), 40)
    vectors = 20 * np.eye(6)[blob] + rng.normal(scale=0.1, size=(240, 6))
    _, assignment = kmeans(vectors, 6, seed=1)
    assert len({(b, a) for b, a in zip(blob.tolist(), assignment.tolist(), strict=True)}) == 6


def test_lloyd_steps_never_raise_the_error():
    vectors = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
    errors = []
    for iterations in (0, 1, 2, 5, 25):
        centroids, _ = kmeans(vectors, 9, seed=3, iterations=iterations)
        errors.append(brute_force(vectors, centroids).min(axis=1).sum())
    assert all(after <= before * (1 + 1e-5) for before, after in pairwise(errors))


def test_an_empty_cluster_moves_to_the_farthest_vector():
    points = np.array([[0.0], [1.0], [2.0], [50.0]], np.float32)
    centroids = np.array([[1.0], [900.0]], np.float32)
    assignment, gaps = module._nearest(points, centroids)
    assert module._reseed_empty(points, centroids, assignment, gaps)
    assert centroids.tolist() == [[1.0], [50.0]]


def test_an_empty_cluster_stays_where_every_vector_is_a_centre():
    points, centroids = np.zeros((3, 1), np.float32), np.array([[0.0], [9.0]], np.float32)
    assignment, gaps = module._nearest(points, centroids)
    assert not module._reseed_empty(points, centroids, assignment, gaps)


def test_spherical_centres_are_unit_and_ignore_length():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 4))
    lengths = rng.uniform(1, 9, size=(60, 1))
    centroids, assignment = kmeans(vectors, 5, seed=0, spherical=True)
    np.testing.assert_allclose(np.linalg.norm(centroids, axis=1), 1, rtol=1e-5)
    assert np.array_equal(assignment, kmeans(vectors * lengths, 5, seed=0, spherical=True)[1])


def test_chunks_change_nothing(monkeypatch):
    vectors = np.random.default_rng(0).integers(-9, 9, size=(70, 3)).astype(np.float32)
    whole = kmeans(vectors, 4, seed=0)
    monkeypatch.setattr(module, "CHUNK_CELLS", 32)
    for one, two in zip(whole, kmeans(vectors, 4, seed=0), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)


@given(matrices, st.data())
def test_distances_equal_brute_force(vectors, data):
    centroids = data.draw(
        arrays.arrays(np.float32, (3, vectors.shape[1]), elements=st.integers(-8, 8).map(float))
    )
    found = squared_distances(vectors, centroids)
    np.testing.assert_allclose(found, brute_force(vectors, centroids), atol=1e-3)
    assert (found >= 0).all()


@pytest.mark.parametrize(
    ("vectors", "clusters", "reason"),
    [
        (np.empty((0, 3)), 2, "at least one vector"),
        (np.empty(3), 2, "matrix"),
        (np.array([[0.0], [np.nan]]), 2, "vector 1 holds"),
        (np.array([[np.inf]]), 2, "vector 0 holds"),
        (np.ones((2, 2)), 0, "at least 1"),
    ],
)
def test_bad_input_is_named(vectors, clusters, reason):
    with pytest.raises(InputError, match=reason):
        kmeans(vectors, clusters, seed=0)


@pytest.fixture
def small_batches(monkeypatch):
    """Many vectors begin at a hundred."""
    monkeypatch.setattr(module, "MANY", 100)
    monkeypatch.setattr(module, "BATCH", 4)
    monkeypatch.setattr(module, "SAMPLE", 16)


@given(
    count=st.integers(101, 900), wanted=st.integers(1, 20), seed=st.integers(0, 3), spherical=st.booleans()
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_batches_keep_the_promises(small_batches, count, wanted, seed, spherical):
    vectors = np.random.default_rng(seed).integers(-3, 4, size=(count, 3)).astype(np.float32)
    found = kmeans(vectors, wanted, seed=seed, spherical=spherical)
    centroids, assignment = found
    assert sorted(set(assignment.tolist())) == list(range(len(centroids)))
    assert len(centroids) <= wanted
    if not spherical:
        assert np.array_equal(assignment, assign_nearest(vectors, centroids))
    again = kmeans(vectors.copy(), wanted, seed=seed, spherical=spherical)
    assert [part.tobytes() for part in found] == [part.tobytes() for part in again]


def test_batches_lose_little_and_see_other_vectors_each_time(monkeypatch):
    vectors = np.random.default_rng(0).normal(size=(20_000, 6)).astype(np.float32)
    whole = brute_force(vectors, kmeans(vectors, 8, seed=0)[0]).min(axis=1).mean()
    monkeypatch.setattr(module, "MANY", 1024)
    seen = []
    one_step = module._one_step
    monkeypatch.setattr(
        module, "_one_step", lambda *given: seen.append((given[0][0, 0], len(given[0]))) or one_step(*given)
    )
    found = brute_force(vectors, kmeans(vectors, 8, seed=0)[0]).min(axis=1).mean()
    assert [size for _, size in seen] == [2048] * 12 + [8192]
    assert len({first for first, _ in seen}) == 4
    assert found < 1.03 * whole


def test_batches_find_blobs_that_a_uniform_start_misses(monkeypatch):
    monkeypatch.setattr(module, "MANY", 1024)
    rng = np.random.default_rng(0)
    blob = np.repeat(np.arange(6), [1000, 200, 200, 200, 200, 200])
    vectors = 20 * np.eye(6)[blob] + rng.normal(scale=0.1, size=(2000, 6))
    centroids, assignment = kmeans(vectors, 6, seed=1)
    assert len(centroids) == 6
    assert len({(b, a) for b, a in zip(blob.tolist(), assignment.tolist(), strict=True)}) == 6


def test_the_core_and_numpy_agree(monkeypatch):
    vectors = np.random.default_rng(0).integers(-9, 9, size=(500, 12)).astype(np.float32)
    one = kmeans(vectors, 20, seed=0)
    monkeypatch.setattr(module, "_core", lambda: None)
    two = kmeans(vectors, 20, seed=0)
    assert np.array_equal(one[1], two[1])
    np.testing.assert_allclose(one[0], two[0], rtol=1e-6)


def test_what_is_taken_away_is_the_own_centre():
    draw = np.random.default_rng(0)
    points, centres = draw.normal(size=(40, 3)), draw.normal(size=(4, 3))
    own = draw.integers(0, 4, 40)
    left = points.copy()
    module.take_away(left, centres, own)
    np.testing.assert_array_equal(left, points - centres[own])
