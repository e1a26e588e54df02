"""Diverse beam search: groups of beams that choose one after the other and avoid each other's tokens.

Vijayakumar et al. 2016 (arXiv 1610.02424), Hamming diversity. A group searches as a query of its own.
Knows no documents. Shapes: B queries, G groups of a query, w beams of a group, M candidates, L levels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from retrograd.constraints import AllowList, CsrTrie, LiveTrie
from retrograd.models.inputs import Memory
from retrograd.search.beam import BeamResult, Groups, beam_search, first_best
from retrograd.search.geometric_searcher import Encoded


@torch.inference_mode()
def diverse_beam(
    model: Any,
    inputs: dict[str, Tensor],
    constraint: CsrTrie | LiveTrie | AllowList,
    *,
    width: int,
    groups: int,
    penalty: float,
    normalise: str = "level",
) -> BeamResult:
    """The keys of all groups, best first and each once; of equal scores the first group's first.

    Args:
        model, inputs, normalise: as in `beam.beam_search`.
        width: beams of each group.
        groups: G, at least 1. The first searches as if it were alone.
        penalty: subtracted from a candidate for every beam of an earlier group that takes the same token
            at the same level (equation 5), at that level only. The reported scores are free of it.

    Returns: (B, G w) keys, -1 behind the last.

    Raises:
        ValueError: no group, or a negative penalty.
    """
    if groups < 1 or penalty < 0:
        raise ValueError(f"groups={groups} must be at least 1 and penalty={penalty} not negative")
    memory = model.encode(inputs)
    twins = Memory(*(part.repeat_interleave(groups, dim=0) for part in (memory.states, memory.where)))
    result = beam_search(
        Encoded(model, twins),
        {},
        constraint,
        width=width,
        normalise=normalise,
        groups=Groups(groups, _Avoiding(groups, penalty, max(model.level_sizes))),
    )
    return _merged(result, groups)


class _Avoiding:
    """Chooses for one group after the other; `vocab` is the largest level's."""

    def __init__(self, groups: int, penalty: float, vocab: int) -> None:
        self._groups, self._penalty, self._vocab = groups, penalty, vocab

    def __call__(self, values: Tensor, tokens: Tensor, count: int) -> Tensor:
        """(B G, M) values and tokens -> (B G, count) positions, ascending."""
        of_group = (len(values) // self._groups, self._groups, -1)
        every, token = values.view(of_group), tokens.clamp(min=0).view(of_group)
        is_new = (tokens >= 0).to(values.dtype).view(of_group)  # a done beam takes no token
        taken = values.new_zeros(len(every), self._vocab)
        chosen = []
        for group in range(self._groups):
            own, new = token[:, group], is_new[:, group]
            at = first_best(every[:, group] - self._penalty * taken.gather(1, own) * new, count)
            real = every[:, group].gather(1, at) > -torch.inf
            taken.scatter_add_(1, own.gather(1, at), new.gather(1, at) * real)
            chosen.append(at)
        return torch.stack(chosen, dim=1).flatten(0, 1)


def _merged(result: BeamResult, groups: int) -> BeamResult:
    """The groups of a query in one row; a key that an earlier group has leaves no trace."""
    keys, scores, paths, steps = (
        part.view(len(part) // groups, -1, *part.shape[2:])
        for part in (result.keys, result.scores, result.paths, result.steps)
    )
    again = (keys.unsqueeze(1) == keys.unsqueeze(2)).tril(-1).any(dim=2)
    scores, order = scores.masked_fill(again, -torch.inf).sort(dim=1, descending=True, stable=True)
    none = scores == -torch.inf
    by_level = order.unsqueeze(2).expand_as(paths)
    return BeamResult(
        keys.gather(1, order).masked_fill_(none, -1),
        scores,
        paths.gather(1, by_level).masked_fill_(none.unsqueeze(2), -1),
        steps.gather(1, by_level).masked_fill_(none.unsqueeze(2), 0.0),
    )
