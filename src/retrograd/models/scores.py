"""Scores: how well each hit suits its query, with gradient. Any callable of `(queries, hits)` is one.

They look at the keys and values a search brought, so that only the choice of rows can be stale. Knows
tensors; neither indexes nor losses. Shapes: ... queries, K hits, d dimensions, V terms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from retrograd.ops.hits import Hits, Score
from retrograd.ops.similarity import cosine, dot, maxsim, standardised


class Dot(nn.Module):
    """`u . k_i`; long keys are favoured."""

    def forward(self, queries: Tensor, hits: Hits) -> Tensor:
        """(..., d) -> (..., K)."""
        return dot(queries, hits.keys)


class Cosine(nn.Module):
    """`exp(log_scale) * cos(u, k_i)`, by default with a scale that is learnt."""

    def __init__(self, scale: float = 1.0, *, trainable: bool = True) -> None:
        super().__init__()
        if not scale > 0:
            raise ValueError(f"scale={scale} must be above 0")
        self.log_scale = nn.Parameter(torch.tensor(scale).log(), requires_grad=trainable)

    def forward(self, queries: Tensor, hits: Hits) -> Tensor:
        """(..., d) -> (..., K)."""
        return self.log_scale.exp().to(queries.dtype) * cosine(queries, hits.keys)


class MaxSim(nn.Module):
    """`sum_t max_m q_t . v_im` over the token vectors that are the hits' values (..., K, m, d).

    The queries are token vectors too: `hits.rescore(MaxSim(), tokens)`. Vectors of zeros are padding.
    """

    def forward(self, queries: Tensor, hits: Hits) -> Tensor:
        """(..., t, d) -> (..., K)."""
        return maxsim(queries, hits.values)


class SparseDot(nn.Module):
    """`sum_t q_t w_it` over the terms of each document, from rows of a sparse matrix, by id.

    Args:
        documents: (n, V) sparse (COO or CSR), row i for the document of id i.
        queries: (..., V) dense, or sparse (B, V); None: those the score is called with.
    """

    terms: Tensor
    weights: Tensor

    def __init__(self, documents: Tensor, queries: Tensor | None = None) -> None:
        super().__init__()
        rows = documents.to_sparse_coo().coalesce()  # type: ignore[no-untyped-call]
        counts = torch.bincount(rows.indices()[0], minlength=documents.shape[0])
        place = (
            torch.arange(len(rows.values()), device=counts.device)
            - (counts.cumsum(0) - counts)[rows.indices()[0]]
        )
        shape = (documents.shape[0], max(1, int(counts.max())) if len(counts) else 1)
        self.register_buffer("terms", torch.zeros(shape, dtype=torch.int64, device=counts.device))
        self.register_buffer("weights", rows.values().new_zeros(shape))
        self.terms[rows.indices()[0], place] = rows.indices()[1]
        self.weights = self.weights.index_put((rows.indices()[0], place), rows.values())
        self.queries = None if queries is None else queries.to_dense()

    def forward(self, queries: Tensor, hits: Hits) -> Tensor:
        """(..., V), unless queries were given before -> (..., K)."""
        wanted = queries if self.queries is None else self.queries
        rows = hits.ids.clamp(min=0)
        terms, weights = self.terms[rows], self.weights[rows]
        asked = wanted.gather(-1, terms.flatten(-2)).reshape(terms.shape)
        return (asked * weights).sum(-1)


class CrossScore(nn.Module):
    """A network that sees query and value together, one pass a hit.

    Args:
        network: (..., K, d), (..., K, e) -> (..., K) or (..., K, 1).
    """

    def __init__(self, network: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.network = network

    def forward(self, queries: Tensor, hits: Hits) -> Tensor:
        """(..., d) -> (..., K)."""
        wide = queries.unsqueeze(-2).expand(*hits.where.shape, queries.shape[-1])
        scores = self.network(wide, hits.values)
        return scores.squeeze(-1) if scores.dim() > hits.where.dim() else scores


class GraphScore(nn.Module):
    """Keys that hear from their neighbours among the hits: `h <- h + W mean_j h_j`, then `u . h`.

    W starts at 0, so an untrained one is `Dot`. Links go both ways; a hit without any keeps its key.

    Args:
        neighbours: (n, degree) int64 ids that each id is linked to, -1 padded.
        dimensions: d.
        rounds: how often neighbours are heard.
    """

    neighbours: Tensor

    def __init__(self, neighbours: Tensor, dimensions: int, *, rounds: int = 1) -> None:
        super().__init__()
        self.register_buffer("neighbours", neighbours)
        self.hear = nn.ModuleList(nn.Linear(dimensions, dimensions, bias=False) for _ in range(rounds))
        for layer in self.hear:
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]

    def forward(self, queries: Tensor, hits: Hits) -> Tensor:
        """(..., d) -> (..., K)."""
        linked = self.neighbours[hits.ids.clamp(min=0)]
        known = (linked.unsqueeze(-2) == hits.ids.unsqueeze(-2).unsqueeze(-1)).any(-1)
        links = (known | known.mT) & hits.where.unsqueeze(-1) & hits.where.unsqueeze(-2)
        shares = links.to(hits.keys.dtype)
        shares = shares / shares.sum(-1, keepdim=True).clamp(min=1)
        states = hits.keys
        for layer in self.hear:
            states = states + layer(shares @ states)
        return dot(queries, states)


class Mixture(nn.Module):
    """`sum_j w_j z_j` of scores brought to mean 0 and deviation 1 for each query.

    What a channel is multiplied with or added to changes nothing; one that finds all hits alike is silent.

    Args:
        scores: the channels; modules among them are trained with this one.
        weights: one each, learnt from there; None for 1 each.
    """

    def __init__(self, *scores: Score, weights: Sequence[float] | None = None) -> None:
        super().__init__()
        weights = [1.0] * len(scores) if weights is None else weights
        if not scores or len(weights) != len(scores):
            raise ValueError(
                f"{len(weights)} weights for {len(scores)} scores; give one for each, at least one"
            )
        self.scores = scores
        self.channels = nn.ModuleList(score for score in scores if isinstance(score, nn.Module))
        self.weights = nn.Parameter(torch.tensor(list(weights)))

    def forward(self, queries: Tensor, hits: Hits) -> Tensor:
        """Whatever its channels take -> (..., K)."""
        found = [standardised(score(queries, hits), hits.where) for score in self.scores]
        return sum((w.to(z.dtype) * z for w, z in zip(self.weights, found, strict=True)), torch.zeros(()))
