"""Draws of different numbers, each set of them as likely as any other, in time that ignores the population.

Knows numbers only. Shapes: B rows, m draws, h excluded numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor


def draw_distinct(population: Tensor, count: int, *, generator: torch.Generator | None = None) -> Tensor:
    """`count` different numbers below each row's population.

    The first different ones of independent draws are a uniform set; where that would take long, because most
    numbers are wanted, they are those of the largest noise.

    Args:
        population: (B,) int64 at least 0.
        count: m; a row of fewer gives all it has.

    Returns: (B, m) int64 in no particular order, -1 where a row has no more.

    >>> draw_distinct(torch.tensor([2, 0]), 3).sort(-1).values
    tensor([[-1,  0,  1],
            [-1, -1, -1]])
    """
    drawn = population.new_full((len(population), count), -1)
    few = population <= 2 * count
    drawn[few] = _by_noise(population[few], count, generator)
    drawn[~few] = _by_rejection(population[~few], count, generator)
    return drawn


def first_of_each(rows: Tensor) -> Tensor:
    """Rows (B, K) with -1 for whatever stood further left already.

    >>> first_of_each(torch.tensor([[4, 2, 4]]))
    tensor([[ 4,  2, -1]])
    """
    ordered, order = rows.sort(dim=-1, stable=True)
    again = torch.zeros_like(rows, dtype=torch.bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    return rows.masked_fill(torch.zeros_like(again).scatter(-1, order, again), -1)


def _by_noise(population: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    width = int(population.amax()) if len(population) else 0
    noise = _uniform((len(population), width), population.device, generator)
    noise = noise.masked_fill(torch.arange(width, device=noise.device) >= population.unsqueeze(1), -1.0)
    best = noise.topk(min(count, width), -1)
    found = best.indices.masked_fill(best.values < 0, -1)
    return torch.nn.functional.pad(found, (0, count - found.shape[1]), value=-1)


def _by_rejection(population: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    size = population.unsqueeze(1)
    numbers = population.new_empty(len(population), 0)
    while True:
        noise = _uniform((len(population), 2 * count), population.device, generator)
        numbers = torch.cat([numbers, (noise * size).long().minimum(size - 1)], -1)
        distinct = first_of_each(numbers)
        if bool(((distinct >= 0).sum(-1) >= count).all()):
            order = (distinct < 0).to(torch.uint8).sort(dim=-1, stable=True).indices[:, :count]
            return distinct.gather(-1, order)


def _uniform(shape: tuple[int, int], device: torch.device, generator: torch.Generator | None) -> Tensor:
    source = generator.device if generator is not None else None
    return torch.rand(shape, dtype=torch.float64, device=source, generator=generator).to(device)


def skip_excluded(ranks: Tensor, excluded: Tensor) -> Tensor:
    """The number at each rank once the excluded ones are left out.

    Args:
        ranks: (B, m) int64 at least 0; -1 stays -1.
        excluded: (B, h) int64, different from each other; -1 is padding.

    >>> skip_excluded(torch.tensor([[0, 1, -1]]), torch.tensor([[1, -1, 0]]))
    tensor([[ 2,  3, -1]])
    """
    far = torch.iinfo(torch.int64).max // 2
    ordered = excluded.masked_fill(excluded < 0, far).sort(-1).values
    before = ordered - torch.arange(ordered.shape[-1], device=ordered.device)
    numbers = ranks + torch.searchsorted(before, ranks.contiguous(), right=True)
    return numbers.masked_fill(ranks < 0, -1)
