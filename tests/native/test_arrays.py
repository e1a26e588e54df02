"""What enters the compiled core has the type and shape it was promised."""

import numpy as np
import pytest

from retrograd.native.arrays import checked


def test_a_fitting_array_comes_back_contiguous():
    value = np.arange(12, dtype=np.float32).reshape(3, 4)
    turned = checked("x", value.T, np.float32, (4, None))
    assert turned.flags.c_contiguous
    np.testing.assert_array_equal(turned, value.T)
    assert checked("x", value, np.float32, (3, 4)) is value


@pytest.mark.parametrize("value", [None, [1.0], np.zeros(3), np.zeros(3, np.int32)])
def test_another_type_is_refused_by_name(value):
    with pytest.raises(TypeError, match="bias must be an array of float32"):
        checked("bias", value, np.float32, (3,))


@pytest.mark.parametrize("shape", [(), (2,), (3, 1), (3, 2, 1)])
def test_another_shape_is_refused_by_name(shape):
    with pytest.raises(ValueError, match="bias has shape"):
        checked("bias", np.zeros(shape, np.float32), np.float32, (3, 2))
