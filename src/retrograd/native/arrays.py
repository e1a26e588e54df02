"""Arrays at the door of the compiled core: shape and type are right, or the error says what came."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike


def checked(name: str, value: Any, dtype: DTypeLike, shape: tuple[int | None, ...]) -> np.ndarray:
    """The value itself, contiguous, once its type and shape are those wanted; None is any length.

    Raises:
        TypeError: no array, or of another type.
        ValueError: of another shape.
    """
    if not isinstance(value, np.ndarray) or value.dtype != np.dtype(dtype):
        came = f"{value.dtype} array" if isinstance(value, np.ndarray) else type(value).__name__
        raise TypeError(f"{name} must be an array of {np.dtype(dtype)}, not {came}")
    fits = len(value.shape) == len(shape) and all(
        wanted in (None, length) for wanted, length in zip(shape, value.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{name} has shape {value.shape}; {shape} is wanted (None is any length)")
    return np.ascontiguousarray(value)
