"""Keys drawn from a model without repeats, one after the other at temperatures of your choice.

Each draw walks the trie from the root; a key that was drawn, and a branch without a key left, is masked,
and the trie stays as it is. Knows no documents.
Shapes: B queries, R draws, N trie nodes, V tokens of a level, E legal next tokens, L levels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from retrograd.constraints import AllowList, Children, CsrTrie, trie_of
from retrograd.ops.gumbel import gumbel_noise
from retrograd.search.beam import BeamResult, check_normalise, child_scores, first_best, padded_rows


def rising_temperatures(
    rounds: int, *, hottest: float = 1.5, steepness: float = 10.0, middle: float = 0.1
) -> list[float]:
    """0 in the first round, then along a logistic curve towards `hottest`, which round `rounds` would have.

    Reverse-annealed sampling (arXiv 2510.10419): `hottest * g(i / rounds)` with
    `g(x) = (s(k (x - m)) - s(-k m)) / (s(k (1 - m)) - s(-k m))`, `s` the sigmoid.

    >>> print(*(f"{temperature:.2f}" for temperature in rising_temperatures(4, hottest=1.0)))
    0.00 0.75 0.98 1.00
    """

    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    least, most = sigmoid(-steepness * middle), sigmoid(steepness * (1 - middle))
    heights = [sigmoid(steepness * (at / rounds - middle)) for at in range(rounds)]
    return [hottest * (height - least) / (most - least) for height in heights]


@torch.inference_mode()
def sample_keys(
    model: Any,
    inputs: dict[str, Tensor],
    constraint: CsrTrie | AllowList,
    *,
    temperatures: Sequence[float],
    generator: torch.Generator,
    normalise: str = "level",
    alike: bool = False,
) -> BeamResult:
    """Different keys of each query, in the order drawn; as many as there are temperatures or keys.

    Args:
        model, inputs: as in `beam.beam_search`.
        temperatures: of each draw. A token's chance is that of its log-probability over the temperature,
            among the tokens that lead to a key not drawn yet; at 0 the likeliest is taken.
        generator: of the noise.
        normalise: what the reported scores are, as in `beam.beam_search`; the draws are the same.
        alike: every query sees the same noise, so that its draws do not depend on its company.

    Returns: (B, R) keys with their own log-probabilities as scores.

    Raises:
        ValueError: a negative temperature.
    """
    check_normalise(normalise)
    if min(temperatures, default=0.0) < 0:
        raise ValueError(f"temperatures must not be negative, got {min(temperatures)}")
    cache = model.start(model.encode(inputs))
    root = model.step(cache)
    left, depth = _Left(constraint, cache.rows), model.depth
    rounds = len(temperatures[: left.most])
    paths = torch.full((cache.rows, rounds, depth), -1, dtype=torch.int64, device=root[0].device)
    steps, keys = root[0].new_zeros(paths.shape), paths[:, :, 0].clone()
    for number in range(rounds):
        temperature, node, (logits, state) = temperatures[number], constraint.start(cache.rows), root
        # drawn whole, so that no query's noise depends on how deep the others go
        same = gumbel_noise(steps.new_empty(depth, left.trie.vocab), generator=generator) if alike else None
        for level in range(depth):
            rows = (~constraint.is_end(node)).nonzero().squeeze(1)
            if not len(rows):
                break
            if level:
                logits, state = model.step(state, left.trie.token[node].long())
            children = constraint.children(node[rows])
            step = child_scores(logits, rows, children, normalise)
            value = step
            if temperature > 0:
                noise = (
                    gumbel_noise(step, generator=generator) if same is None else same[level, children.token]
                )
                value = step / temperature + noise  # the largest is a draw from the softmax
            taken = left.best(value, rows, children)
            node[rows] = children.state[taken]
            paths[rows, number, level], steps[rows, number, level] = children.token[taken], step[taken]
        left.remove(node)
        keys[:, number] = constraint.key(node)
    return BeamResult(keys, steps.sum(dim=2), paths, steps)


class _Left:
    """What is left to draw: the nodes of each query below which every key was drawn."""

    def __init__(self, constraint: CsrTrie | AllowList, batch: int) -> None:
        self.trie = trie_of(constraint)
        live = constraint.is_end(torch.arange(self.trie.num_nodes, device=self.trie.token.device))
        self._keys_below = live.long()
        starts = self.trie.level_start
        for first, after in zip(starts[-2:0:-1], starts[:1:-1], strict=True):
            self._keys_below.index_add_(
                0, self.trie.parent[first:after], self._keys_below[first:after].clone()
            )
        self.most = int(self._keys_below[0])
        """Keys there are."""
        self._first = torch.arange(batch, device=live.device) * self.trie.num_nodes
        self._passed = self._first[:0]
        self._empty = self._first[:0]

    def best(self, value: Tensor, row: Tensor, children: Children) -> Tensor:
        """Place of the best child below which a key is left, of each of the queries `row` (n,): (n,)."""
        gone = torch.isin(self._first[row[children.row]] + children.state, self._empty)
        padded, first = padded_rows(value.masked_fill(gone, -torch.inf), children.row, len(row), 1)
        return first_best(padded, 1).squeeze(1) + first

    def remove(self, leaf: Tensor) -> None:
        """Every query has drawn the key that ends at its `leaf`, (B,)."""
        lineage = [leaf]
        while bool(lineage[-1].any()):
            lineage.append(self.trie.parent[lineage[-1]])
        for above, below in zip(lineage[1:], lineage[:-1], strict=True):
            self._passed = torch.cat([self._passed, (self._first + above)[below > 0]])
        self._passed = torch.cat([self._passed, self._first + leaf])
        place, times = torch.unique(self._passed, return_counts=True)
        self._empty = place[times == self._keys_below[place % self.trie.num_nodes]]
