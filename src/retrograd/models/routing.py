"""The query as each level of an index should see it: turned so that the way to good documents is nearest.

A node of the index stands for the mean of the documents below it; a query that suits one document is
not always nearest to the mean of its neighbours. Knows vectors and codes; neither texts nor lists.
Shapes: B queries, n documents, m levels, N nodes of a level, d dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrograd.models.towers import ResidualHead
from retrograd.quantizers.soft_residual import MAX_SCALE


@dataclass(frozen=True, eq=False)
class Nodes:
    """The nodes of an index as it stands: prefixes of the documents' codes."""

    of_document: Tensor
    """(n, m) int64: node of each document at each level."""

    codes: Tensor
    """(n, m) int64: their codes."""

    centroids: tuple[Tensor, ...]
    """Per level (N, d): unit mean of the documents below each node."""

    @classmethod
    def of_codes(cls, codes: np.ndarray, vectors: np.ndarray) -> Nodes:
        """From (n, m) codes and (n, d) document vectors.

        >>> Nodes.of_codes(np.array([[0, 1], [0, 2]]), np.eye(2, dtype=np.float32)).of_document.tolist()
        [[0, 0], [0, 1]]
        """
        points, numbers, centroids = torch.from_numpy(np.asarray(vectors, np.float32)), [], []
        for level in range(codes.shape[1]):
            _, node = np.unique(codes[:, : level + 1], axis=0, return_inverse=True)
            number = torch.from_numpy(node.reshape(-1).astype(np.int64))
            sums = points.new_zeros(int(number.max()) + 1, points.shape[1]).index_add_(0, number, points)
            numbers.append(number)
            centroids.append(F.normalize(sums, dim=1))
        whole = torch.from_numpy(np.asarray(codes, np.int64))
        return cls(torch.stack(numbers, dim=1), whole, tuple(centroids))

    def to(self, device: torch.device) -> Nodes:
        """The same on a device."""
        centroids = tuple(level.to(device) for level in self.centroids)
        return Nodes(self.of_document.to(device), self.codes.to(device), centroids)


class Router(nn.Module):
    """A residual head per level over the query vector; an untrained one turns nothing.

    Args:
        hidden: inner width of each head; 0 makes it one linear map.
    """

    def __init__(self, levels: int, dimensions: int, hidden: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(ResidualHead(dimensions, hidden, 0.0) for _ in range(levels))
        self.log_scale = nn.Parameter(torch.full((levels,), log(20.0)))

    def turn(self, queries: Tensor, level: int) -> Tensor:
        """(B, d) unit query vectors -> (B, d) unit vectors for a level."""
        turned: Tensor = self.heads[level](queries)
        return turned

    def forward(self, queries: Tensor, level: int, centroids: Tensor) -> Tensor:
        """(B, d) queries against (N, d) nodes of a level: (B, N) logits over the whole level."""
        scale = self.log_scale[level].clamp(max=log(MAX_SCALE)).exp()
        return scale * self.turn(queries, level) @ centroids.T
