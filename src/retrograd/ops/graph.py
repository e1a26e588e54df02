"""Walks over a graph, differentiable in the weights of its edges.

A graph is `edges` (2, E) int64, sources over targets, with a weight an edge. Personalised PageRank is the
fixed point of a walk that restarts; its derivative is a second fixed point on the reversed edges, so memory
does not grow with the steps. Knows nodes by number and nothing else of them.
Shapes: N nodes, E edges, d dimensions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

_MOST_STEPS = 100_000


def edge_softmax(scores: Tensor, groups: Tensor, num_groups: int) -> Tensor:
    """Softmax over the edges of a group (edges out of one node, say).

    Args:
        scores: (..., E) float.
        groups: (E,) int64 in [0, num_groups), for instance `edges[0]`.

    Returns: (..., E), adding up to 1 over each group that has an edge.

    >>> edge_softmax(torch.zeros(3), torch.tensor([0, 0, 1]), 2)
    tensor([0.5000, 0.5000, 1.0000])
    """
    shape = (*scores.shape[:-1], num_groups)
    index = groups.expand(scores.shape)
    largest = scores.new_full(shape, -torch.inf).scatter_reduce(-1, index, scores.detach(), "amax")
    weights = (scores - largest.gather(-1, index)).exp()
    return weights / torch.zeros_like(largest).index_add(-1, groups, weights).gather(-1, index)


def propagate(edges: Tensor, features: Tensor, weights: Tensor | None = None) -> Tensor:
    """Each node's sum over the edges that reach it: `h'_j = sum_{i -> j} w_ij h_i`.

    Args:
        edges: (2, E) int64.
        features: (N, d) float.
        weights: (E,) float; None for 1 each.

    Returns: (N, d); 0 for a node that no edge reaches.

    >>> propagate(torch.tensor([[0, 1], [2, 2]]), torch.tensor([[1.0], [2.0], [9.0]])).T
    tensor([[0., 0., 3.]])
    """
    messages = features[edges[0]]
    if weights is not None:
        messages = messages * weights.unsqueeze(-1)
    return torch.zeros_like(features).index_add(0, edges[1], messages)


def ppr(
    edges: Tensor,
    weights: Tensor,
    seeds: Tensor,
    *,
    restart: float | Tensor = 0.15,
    tolerance: float | None = None,
) -> Tensor:
    """Personalised PageRank: `r = (1 - restart) P^T r + restart * e` (Haveliwala 2002).

    With y the fixed point of `y = g + (1 - restart) P y`, the derivatives are `dL/dP_ij = (1 - restart) y_j
    r_i` and `dL/de = restart * y`: implicit, as often as one likes.

    Args:
        edges: (2, E) int64; an edge that stands twice counts twice.
        weights: (E,) float at least 0, at most 1 in sum over the edges out of a node, as `edge_softmax`
            over the sources gives. A node without edges loses what it gets: give it a self-loop.
        seeds: (..., N) float, where walks start; usually adding up to 1.
        restart: in (0, 1], the chance to start anew at each step; a tensor () gets a gradient.
        tolerance: bound on the error in L1 norm, relative to that of the seeds; None for 1e-6, or 1e-12
            in float64.

    Returns: (..., N), adding up to the sum of the seeds where no node loses anything.

    Raises:
        ValueError: restart outside (0, 1], or weights that add up to more than 1.

    >>> ppr(torch.tensor([[0, 1], [1, 0]]), torch.ones(2), torch.tensor([1.0, 0.0]), restart=0.5)
    tensor([0.6667, 0.3333])
    """
    _check(edges, weights, seeds.shape[-1], restart)
    if tolerance is None:
        tolerance = 1e-12 if seeds.dtype == torch.float64 else 1e-6
    keep = torch.as_tensor(1.0 - restart, dtype=seeds.dtype, device=seeds.device)
    return _fixed_point(edges, weights, restart * seeds, keep, tolerance)


def ppr_exact(edges: Tensor, weights: Tensor, seeds: Tensor, *, restart: float | Tensor = 0.15) -> Tensor:
    """`ppr` by a dense solve in O(N^3): for small graphs, and to compare with."""
    _check(edges, weights, seeds.shape[-1], restart)
    n = seeds.shape[-1]
    moves = weights.new_zeros(n * n).index_add(0, edges[1] * n + edges[0], weights).view(n, n)
    system = torch.eye(n, dtype=weights.dtype, device=weights.device) - (1 - restart) * moves
    solved: Tensor = torch.linalg.solve(system, (restart * seeds).unsqueeze(-1))
    return solved.squeeze(-1)


def _check(edges: Tensor, weights: Tensor, num_nodes: int, restart: float | Tensor) -> None:
    chance = float(restart.detach() if isinstance(restart, Tensor) else restart)
    if not 0 < chance <= 1:
        raise ValueError(f"restart={chance} must lie in (0, 1]")
    detached = weights.detach()
    leaving = detached.new_zeros(num_nodes).index_add(0, edges[0], detached)
    if bool((leaving > 1 + 1e-4).any()) or bool((detached < -1e-4).any()):
        raise ValueError(
            "weights must be at least 0 and add up to at most 1 over the edges out of a node; "
            "`edge_softmax` over the sources makes them so"
        )


def _fixed_point(edges: Tensor, weights: Tensor, start: Tensor, keep: Tensor, tolerance: float) -> Tensor:
    point: Tensor = _FixedPoint.apply(edges, weights, start, keep, tolerance)  # type: ignore[no-untyped-call]
    return point


def _walk(edges: Tensor, weights: Tensor, mass: Tensor) -> Tensor:
    """`P^T mass` for rows of masses: (..., N) -> (..., N)."""
    return torch.zeros_like(mass).index_add(-1, edges[1], mass[..., edges[0]] * weights)


class _FixedPoint(Function):
    """x = start + keep * P^T x. Its backward pass is one of its own kind on the reversed edges."""

    @staticmethod
    def forward(
        ctx: Any, edges: Tensor, weights: Tensor, start: Tensor, keep: Tensor, tolerance: float
    ) -> Tensor:
        point, factor = start, float(keep)
        # The walk contracts by `keep` in L1 (its reverse in the maximum norm), which bounds what is left.
        enough = tolerance * (1 - factor) / max(factor, 1e-30) * start.abs().sum(-1)
        for _ in range(_MOST_STEPS if factor else 0):
            moved = start + factor * _walk(edges, weights, point)
            change = (moved - point).abs().sum(-1)
            point = moved
            if bool((change <= enough).all()):
                break
        ctx.tolerance = tolerance
        point = point.clone() if point is start else point
        ctx.save_for_backward(edges, weights, keep, point)
        return point

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor | None, Tensor, Tensor | None, None]:
        edges, weights, keep, point = ctx.saved_tensors
        adjoint = _fixed_point(edges.flip(0), weights, gradients[0], keep, ctx.tolerance)
        to_weights = to_keep = None
        if ctx.needs_input_grad[1]:
            both = adjoint[..., edges[1]] * point[..., edges[0]]
            to_weights = keep * both.reshape(-1, edges.shape[1]).sum(0)
        if ctx.needs_input_grad[3]:
            to_keep = (adjoint * _walk(edges, weights, point)).sum()
        return None, to_weights, adjoint, to_keep, None
