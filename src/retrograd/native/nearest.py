"""The nearest of a few hundred centres to each of many points, in the compiled core.

Knows arrays only, and checks them, so that the core never reads outside one. Shapes: n points, k centres, d
dimensions.
"""

from __future__ import annotations

import numpy as np

from retrograd.native.arrays import checked
from retrograd.native.library import Library, PointsStructure

EXACT = ("avx512", "avx2", "plain")
"""Targets whose products have full float precision, best first."""


def nearest_centres(
    library: Library, points: np.ndarray, centres: np.ndarray, target: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) int64 row of the nearest centre, the lower row at a tie, and (n,) float32 squared distances less
    the squared length of the point. One thread; a point's answer does not depend on the points beside it.

    Args:
        points: (n, d) float32, finite.
        centres: (k, d) float32, finite, k >= 1.
        target: a processor target of the library; None is the best of `EXACT`.

    Raises:
        TypeError, ValueError: an array of another type or shape.
        MemoryError: there was none.
    """
    points = checked("points", points, np.float32, (None, None))
    centres = checked("centres", centres, np.float32, (None, points.shape[1]))
    if not 0 < len(centres) < 2**24 or points.shape[1] >= 2**24:
        raise ValueError(f"{len(centres)} centres of {points.shape[1]} dimensions: 1 to 2^24 of each")
    offset = np.einsum("kd,kd->k", centres, centres)
    nearest, gap = np.empty(len(points), np.int64), np.empty(len(points), np.float32)
    arrays = (array.ctypes.data for array in (points, centres, offset, nearest, gap))
    chosen = target or next(name for name in EXACT if name in library.targets)
    library.nearest(PointsStructure(len(points), points.shape[1], len(centres), *arrays), chosen)
    return nearest, gap
