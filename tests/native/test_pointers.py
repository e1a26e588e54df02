"""The structure that the core reads points into arrays that are alive and of the right kind."""

import gc

import numpy as np
import pytest

from retrograd.native.pointers import Pointers


def test_an_array_lives_as_long_as_what_points_to_it():
    made = Pointers(width=3)
    made.point("begin", np.arange(6, dtype=np.float32)[::2], np.float32, (3,))
    gc.collect()
    assert any(np.array_equal(array, [0, 2, 4]) for array in made._kept)
    assert made.value.begin == made._kept[0].ctypes.data


def test_another_type_and_another_shape_are_refused():
    made = Pointers(width=3)
    with pytest.raises(TypeError, match="begin must be"):
        made.point("begin", np.zeros(3), np.float32, (3,))
    with pytest.raises(ValueError, match="embedding has shape"):
        made.point_stack(np.zeros((5, 2), np.float32), None, (), {})
