"""Collapse: healthy vectors pass, every way to collapse is told apart."""

import numpy as np
import pytest

from retrograd.errors import InputError
from retrograd.evaluation.diagnostics.collapse import collapse_report

N, D = 400, 16


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


KEYS, QUERIES = drawn(N, D), drawn(N, D, seed=1)


def test_evenly_spread_vectors_are_healthy():
    report = collapse_report(QUERIES, KEYS, positives=np.arange(N))
    report.check()
    assert report.alarms() == ()
    assert report.effective_rank > 0.9 * D
    assert report.alignment == pytest.approx(2, abs=0.2)
    assert np.isnan(collapse_report(QUERIES, KEYS).alignment)


@pytest.mark.parametrize(
    ("queries", "keys", "sign"),
    [
        (QUERIES + 20, KEYS + 20, "keys crowd into a cone"),
        (QUERIES + 20, KEYS, "queries crowd into a cone"),
        (QUERIES, KEYS * np.r_[1, np.full(D - 1, 1e-3)], "of 16 directions"),
        (QUERIES, KEYS * 1e-6 + drawn(1, D, seed=4), "keys crowd into a cone"),
        (QUERIES[:, :1] * 0 + drawn(1, D), KEYS, "first answers"),
    ],
)
def test_each_way_to_collapse_is_named(queries, keys, sign):
    with pytest.raises(InputError, match=sign):
        collapse_report(queries, keys).check()


def test_a_rotation_changes_nothing():
    turn = np.linalg.qr(drawn(D, D, seed=3))[0]
    one, two = collapse_report(QUERIES, KEYS), collapse_report(QUERIES @ turn, KEYS @ turn)
    for name in ("mean_cosine", "effective_rank", "distinct_top1", "uniformity"):
        assert getattr(one, name) == pytest.approx(getattr(two, name), abs=1e-9)


def test_the_effective_rank_is_that_of_the_centred_keys():
    assert collapse_report(QUERIES, KEYS + 1e3).effective_rank == pytest.approx(
        collapse_report(QUERIES, KEYS).effective_rank, rel=1e-6
    )


@pytest.mark.parametrize(("queries", "keys"), [(QUERIES[:1], KEYS), (QUERIES, KEYS[:, :3])])
def test_what_cannot_be_compared_is_refused(queries, keys):
    with pytest.raises(InputError, match="two of each"):
        collapse_report(queries, keys)
