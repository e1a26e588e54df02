"""What finds the nearest keys of a memory: an index of faiss, or none but the keys themselves.

An index of faiss holds copies, which grow stale as keys are trained; without one every search reads the keys
as they stand. Knows keys and queries without gradient.
Shapes: n rows, B queries, d dimensions.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from retrograd.indexes.exhaustive import nearest_rows
from retrograd.indexes.faiss_index import Factory, FactoryIndex
from retrograd.ops.similarity import cosine, dot
from retrograd.types import State

METRICS = {"dot": dot, "cosine": cosine}
"""By what keys and queries are compared."""

FLAT = "flat"
"""The index that is none."""


class KeyIndex:
    """Nearest keys.

    Args:
        index: `FLAT` or a factory string of faiss.
        parameters: of a faiss search.
        metric: a key of `METRICS`.

    Raises:
        ValueError: an unknown metric.
    """

    def __init__(self, index: str, parameters: str, metric: str) -> None:
        if metric not in METRICS:
            raise ValueError(f"metric={metric!r}; choose one of {', '.join(METRICS)}")
        self.index, self.parameters, self.metric = index, parameters, metric
        self._filed: FactoryIndex | None = None

    @property
    def exhaustive(self) -> bool:
        """Whether nothing is missed, and keys are seen as they stand."""
        return self.index == FLAT

    def compared(self, vectors: Tensor) -> Tensor:
        """Keys or queries as they are compared: of length 1 where the metric is the cosine."""
        vectors = vectors.detach()
        return F.normalize(vectors, dim=-1) if self.metric == "cosine" else vectors

    def build(self, keys: Tensor) -> None:
        """File these keys and no others."""
        if not self.exhaustive:
            self._filed = self._factory.build(_array(self.compared(keys)))

    def add(self, keys: Tensor) -> None:
        """File more keys, numbered after those there are."""
        if self._filed is not None:
            self._filed.add(_array(self.compared(keys)))

    def nearest(self, keys: Tensor, queries: Tensor, k: int, where: Tensor) -> Tensor:
        """(B, at most k) int64 rows, best first, -1 padded; `where` (n,) or (B, n) bool comes before k."""
        queries = self.compared(queries)
        if self._filed is None:
            return nearest_rows(self.compared(keys), queries, k, where)
        points = _array(queries)
        if where.dim() == 1:
            found = [self._filed.search(points, k, where.cpu().numpy())[1]]
        else:
            each = zip(points, where.cpu().numpy(), strict=True)
            found = [self._filed.search(one[None], k, mask)[1] for one, mask in each]
        return torch.from_numpy(np.concatenate([np.empty((0, k), np.int64), *found])).to(keys.device)

    def state(self) -> State:
        """What is worth saving beside the keys; {} for none."""
        return {} if self._filed is None else self._filed.state()

    def load(self, state: State, keys: Tensor) -> None:
        """Take what `state` gave instead of building it; ArtifactError if it is not of these keys."""
        if not self.exhaustive:
            self._filed = self._factory.load(state, _array(keys))

    @property
    def _factory(self) -> Factory:
        return Factory(factory=self.index, parameters=self.parameters)


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().cpu().numpy(), dtype=np.float32)
