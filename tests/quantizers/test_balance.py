"""Balanced assignment: equal shares, near where there is a choice, and steady."""

import numpy as np
import pytest
import torch

from retrograd.quantizers.balance import balanced_centres, balanced_codes, balanced_groups
from retrograd.quantizers.kmeans import assign_nearest, kmeans, squared_distances


def skewed(rows=400, seed=0):
    """Most vectors in one lump, a few far away."""
    rng = np.random.default_rng(seed)
    lump = rng.normal(size=(rows, 4))
    return np.concatenate([lump, 20 + 8 * rng.normal(size=(rows // 20, 4))]).astype(np.float32)


def perplexity(codes):
    shares = np.bincount(codes) / len(codes)
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def test_shares_are_equal_where_vectors_stand_between_centres():
    points = torch.linspace(0, 1, 90).unsqueeze(1)
    distances = torch.cdist(points, torch.tensor([[0.4], [0.5], [0.6]])).square()
    counts = np.bincount(balanced_codes(distances).numpy(), minlength=3)
    nearest = np.bincount(distances.argmin(dim=1).numpy(), minlength=3)
    assert np.ptp(counts) < np.ptp(nearest) / 1.8


def test_vectors_far_apart_keep_their_nearest_centre():
    distances = torch.from_numpy(squared_distances(np.eye(3) * 9, np.eye(3) * 9))
    assert balanced_codes(distances).tolist() == [0, 1, 2]


def test_equal_vectors_give_no_nan():
    assert balanced_codes(torch.zeros(5, 2)).tolist() == [0] * 5


def test_centres_move_so_that_the_nearest_is_used_more_evenly():
    points = skewed()
    centres, assignment = kmeans(points, 16, seed=0)
    moved = balanced_centres(points, centres, seed=0)
    assert moved.shape == centres.shape
    assert perplexity(assign_nearest(points, moved)) > 1.1 * perplexity(assignment)


def test_one_centre_and_the_same_seed_are_steady():
    points = skewed()
    start = points[:8]
    assert np.array_equal(balanced_centres(points, start, seed=1), balanced_centres(points, start, seed=1))
    assert balanced_centres(points, points[:1], seed=0) == pytest.approx(points[:1])


def test_groups_are_of_about_one_size_and_each_in_one_place():
    rng = np.random.default_rng(2)
    apart = (rng.normal(size=(40, 3)) + 30 * np.eye(3)[np.arange(40) % 2]).astype(np.float32)
    groups = balanced_groups(apart, 2, seed=0)
    assert len(set(groups[::2])) == len(set(groups[1::2])) == 1
    crowd = np.linspace(0, 1, 400, dtype=np.float32)[:, None] ** 3
    sizes = np.bincount(balanced_groups(crowd, 5, seed=0))
    nearest = np.bincount(kmeans(crowd, 5, seed=0)[1])
    assert sizes.max() < 0.75 * nearest.max()
    assert sizes.min() > nearest.min()


def test_there_are_no_more_groups_than_points():
    assert sorted(balanced_groups(np.eye(3, dtype=np.float32), 10, seed=0)) == [0, 1, 2]
