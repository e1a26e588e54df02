"""Fitting and storing a stack of codebooks: what product and residual quantisers share."""

from __future__ import annotations

import numpy as np

from retrograd.errors import ArtifactError, InputError
from retrograd.types import State


def codebooks_to_state(codebooks: tuple[np.ndarray, ...]) -> State:
    """One array per level, named in order; they may differ in shape."""
    return {f"codebook.{level}": codebook for level, codebook in enumerate(codebooks)}


def codebooks_from_state(state: State) -> tuple[np.ndarray, ...]:
    """Undo `codebooks_to_state`; other names in `state` are left alone.

    Raises:
        ArtifactError: no codebook is there.
    """
    count = sum(name.startswith("codebook.") for name in state)
    if count == 0 or f"codebook.{count - 1}" not in state:
        raise ArtifactError("the quantiser's codebooks are missing; fit the docids again")
    return tuple(np.asarray(state[f"codebook.{level}"], np.float32) for level in range(count))


def check_width(vectors: np.ndarray, width: int) -> np.ndarray:
    """Vectors as an (n, width) float32 matrix; n may be 0.

    Raises:
        InputError: another shape: the vectors come from another encoder than the codebooks.
    """
    points = np.asarray(vectors, np.float32)
    if points.ndim != 2 or points.shape[1] != width:
        raise InputError(
            f"vectors of shape {points.shape} do not fit codebooks of {width} dimensions; "
            "use the encoder they were fitted with"
        )
    return points
