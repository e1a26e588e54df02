"""Nearest centres: the compiled core against all distances in float64, on every target."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrograd.native import nearest_centres

same_library = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@same_library
@given(
    count=st.integers(0, 220),
    centres=st.integers(1, 70),
    width=st.integers(1, 40),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_every_target_finds_the_nearest_centre(library, count, centres, width, seed, data):
    target = data.draw(st.sampled_from(list(library.targets)))
    draw = np.random.default_rng(seed)
    points = draw.integers(-9, 9, (count, width)).astype(np.float32)
    places = draw.integers(-9, 9, (centres, width)).astype(np.float32)
    found, gap = nearest_centres(library, points, places, target)
    squares = ((points[:, None].astype(float) - places) ** 2).sum(-1) - (points.astype(float) ** 2).sum(-1)[
        :, None
    ]
    # small whole numbers are exact at any precision, so that ties are ties
    assert found.tolist() == (squares.argmin(1) if count else np.zeros(0)).tolist()
    assert gap.tolist() == (squares.min(1) if count else np.zeros(0)).tolist()


def test_a_point_gets_the_same_alone_and_in_company(library):
    draw = np.random.default_rng(0)
    points, places = (
        draw.normal(size=(300, 33)).astype(np.float32),
        draw.normal(size=(50, 33)).astype(np.float32),
    )
    found, gap = nearest_centres(library, points, places)
    for row in (0, 95, 96, 299):
        alone = nearest_centres(library, points[row : row + 1], places)
        assert (alone[0][0], alone[1][0]) == (found[row], gap[row])


@pytest.mark.parametrize(
    ("points", "centres", "error"),
    [
        (np.zeros((2, 3)), np.zeros((1, 3), np.float32), TypeError),
        (np.zeros((2, 3), np.float32), np.zeros((1, 4), np.float32), ValueError),
        (np.zeros((2, 3), np.float32), np.zeros((0, 3), np.float32), ValueError),
        (np.zeros(3, np.float32), np.zeros((1, 3), np.float32), ValueError),
    ],
)
def test_what_does_not_fit_is_refused(library, points, centres, error):
    with pytest.raises(error):
        nearest_centres(library, points, centres)


def test_an_unknown_target_is_named(library):
    with pytest.raises(ValueError, match="this processor runs"):
        nearest_centres(library, np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32), "z80")
