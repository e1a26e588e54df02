"""A set of tokens per level, whatever came before: facets, or decoding without a trie.

Knows levels and token ids only; what it spells need not name a document, so it is mostly
intersected with a trie. Shapes: R rows, L levels, V tokens of the largest level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from retrograd.constraints.protocol import Children, follow, mask_of


@dataclass(frozen=True, eq=False)
class TokenSet:
    """Implements `Constraint`; a state is the number of tokens so far.

    >>> digits = TokenSet.of([[0, 1], [4]])
    >>> digits.children(torch.tensor([1, 0])).token.tolist()
    [4, 0, 1]
    """

    first: Tensor
    """(L + 2,) int64: level `l` allows `token[first[l]:first[l + 1]]`; the end allows nothing."""

    token: Tensor
    """(tokens,) int64, ascending within a level."""

    vocab: int
    """V."""

    complete: tuple[int, ...]
    """Numbers of tokens at which a prefix may end."""

    @classmethod
    def of(cls, levels: Sequence[Sequence[int] | np.ndarray], *, any_length: bool = False) -> TokenSet:
        """From the tokens allowed at each level.

        Args:
            any_length: a prefix may end at any level (to be intersected with keys of unequal
                length), not just after the last.
        """
        sets = [np.unique(np.asarray(level, np.int64)) for level in levels]
        counts = [0, *np.cumsum([len(level) for level in sets]).tolist()]
        depth = len(sets)
        return cls(
            first=torch.tensor([*counts, counts[-1]]),
            token=torch.from_numpy(np.concatenate(sets)),
            vocab=1 + max((int(level[-1]) for level in sets if len(level)), default=0),
            complete=tuple(range(1, depth + 1)) if any_length else (depth,),
        )

    def start(self, batch: int) -> Tensor:
        """(batch,) int64 zeros."""
        return torch.zeros(batch, dtype=torch.int64)

    def children(self, state: Tensor) -> Children:
        """Tokens of each row's level."""
        first = self.first[state]
        count = self.first[state + 1] - first
        row = torch.repeat_interleave(count)
        at = torch.arange(len(row)) + (first - (count.cumsum(0) - count))[row]
        return Children(row, self.token[at], state[row] + 1)

    def allowed(self, state: Tensor) -> Tensor:
        """(R, V) bool."""
        return mask_of(self.children(state), len(state), self.vocab)

    def advance(self, state: Tensor, token: Tensor) -> Tensor:
        """(R,) levels after one more token each."""
        return follow(self.children(state), token)

    def is_end(self, state: Tensor) -> Tensor:
        """(R,) bool."""
        return torch.isin(state, torch.tensor(self.complete))

    def key(self, state: Tensor) -> Tensor:
        """(R,) int64: always -1, no key is known here."""
        return torch.full((len(state),), -1, dtype=torch.int64)
