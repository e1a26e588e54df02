"""A network's weights as the compiled core is shown them: a structure of pointers, and what they point into.

Knows names, shapes and types; what a network computes is the core's business.
Shapes: d width, N layers.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from retrograd.native.arrays import checked
from retrograd.native.library import LayerStructure, ModelStructure


class Pointers:
    """Builds `value`; the arrays live as long as this object, and the core copies them.

    Args:
        sizes: numbers of the structure, by name.
    """

    def __init__(self, **sizes: Any) -> None:
        self.value = ModelStructure(**sizes)
        self._kept: list[object] = []

    def point(self, name: str, array: Any, dtype: DTypeLike, shape: tuple[int | None, ...]) -> None:
        """One array of the structure, checked."""
        self._set(self.value, name, checked(name, array, dtype, shape))

    def point_stack(
        self,
        embedding: Any,
        final_norm: Any,
        layers: tuple[dict[str, np.ndarray], ...],
        shapes: dict[str, tuple[int, ...]],
    ) -> None:
        """What encoders and decoders both have.

        Args:
            shapes: of the arrays of each layer, by name.
        """
        width, self.value.table_rows = self.value.width, len(embedding)
        self.point("embedding", embedding, np.float32, (None, width))
        self.point("final_norm", final_norm, np.float32, (width,))
        structures = (LayerStructure * max(1, len(layers)))()
        for structure, layer in zip(structures, layers, strict=False):
            for name, shape in shapes.items():
                self._set(structure, name, checked(name, layer.get(name), np.float32, shape))
        self.value.num_layers = len(layers)
        self.value.layers = ctypes.cast(structures, ctypes.POINTER(LayerStructure))
        self._kept.append(structures)

    def _set(self, structure: ctypes.Structure, name: str, array: np.ndarray) -> None:
        setattr(structure, name, array.ctypes.data)
        self._kept.append(array)
