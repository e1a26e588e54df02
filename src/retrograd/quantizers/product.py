"""Product quantisation: a vector is cut into pieces and each piece is named by its nearest centre.

Jegou et al., "Product Quantization for Nearest Neighbor Search", 2011, section II.
Shapes: n vectors, d dimensions, m subspaces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrograd.errors import ArtifactError, InputError
from retrograd.quantizers.codebooks import check_width, codebooks_from_state, codebooks_to_state
from retrograd.quantizers.kmeans import as_points, assign_nearest, kmeans, squared_distances
from retrograd.types import State

ROTATION = "rotation"
"""Name of that matrix in a state."""


@dataclass(frozen=True, eq=False)
class ProductQuantizer:
    """One codebook per subspace."""

    codebooks: tuple[np.ndarray, ...]
    """m matrices (codes, width of the subspace) float32; the widths add up to d and differ by 1 at most."""

    rotation: np.ndarray | None = None
    """(d, d) float32 orthogonal: vectors turn by `vectors @ rotation.T` before they are cut, or None."""

    @classmethod
    def fit(cls, vectors: np.ndarray, subspaces: int, codes: int, *, seed: int) -> ProductQuantizer:
        """k-means in each subspace.

        Args:
            vectors: (n, d) finite, n >= 1.
            subspaces: m, at most d.
            codes: centres per subspace; fewer where fewer distinct pieces exist.

        Raises:
            InputError: more subspaces than dimensions, or what `kmeans` refuses.

        >>> ProductQuantizer.fit(np.eye(4), 2, 3, seed=0).encode(np.eye(4)).shape
        (4, 2)
        """
        points = as_points(vectors)
        check_subspaces(subspaces, points.shape[1])
        pieces = np.array_split(points, subspaces, axis=1)
        return cls(tuple(kmeans(piece, codes, seed=(seed, at))[0] for at, piece in enumerate(pieces)))

    def _pieces(self, vectors: np.ndarray) -> list[np.ndarray]:
        widths = [codebook.shape[1] for codebook in self.codebooks]
        points = check_width(vectors, sum(widths))
        turned = points if self.rotation is None else points @ self.rotation.T
        return np.split(turned, np.cumsum(widths)[:-1], axis=1)

    def encode(self, vectors: np.ndarray) -> np.ndarray:
        """(n, d) -> (n, m) int64 codes."""
        pairs = zip(self._pieces(vectors), self.codebooks, strict=True)
        return np.stack([assign_nearest(piece, codebook) for piece, codebook in pairs], axis=1)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """(n, m) codes -> (n, d) float32: the centres side by side."""
        found = np.concatenate([book[codes[:, at]] for at, book in enumerate(self.codebooks)], axis=1)
        return found if self.rotation is None else found @ self.rotation

    def last_distances(self, vectors: np.ndarray) -> np.ndarray:
        """(n, d) -> (n, codes) squared distances of the last piece to the codes of the last level."""
        return squared_distances(self._pieces(vectors)[-1], self.codebooks[-1])

    def state(self) -> State:
        """Plain arrays from which `from_state` builds the same quantiser."""
        turning = {} if self.rotation is None else {ROTATION: self.rotation}
        return codebooks_to_state(self.codebooks) | turning

    @classmethod
    def from_state(cls, state: State) -> ProductQuantizer:
        """Undo `state`.

        Raises:
            ArtifactError: codebooks are missing, or the rotation does not fit them.
        """
        books, rotation = codebooks_from_state(state), state.get(ROTATION)
        width = sum(book.shape[1] for book in books)
        if rotation is not None and rotation.shape != (width, width):
            raise ArtifactError(
                f"a rotation of shape {rotation.shape} does not fit codes of {width} dimensions"
            )
        return cls(books, rotation)


def check_subspaces(subspaces: int, dimensions: int) -> None:
    """Refuse to cut vectors into more pieces than they have dimensions, or into none.

    Raises:
        InputError: so it is.
    """
    if not 1 <= subspaces <= dimensions:
        raise InputError(f"subspaces={subspaces} must be from 1 to the {dimensions} dimensions")
