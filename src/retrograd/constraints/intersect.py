"""Two constraints at once: what both allow.

Knows the protocol only. A prefix both allow may still have no common completion; search drops
such a beam when it runs dry. Shapes: R rows, c columns of the two states together.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from retrograd.constraints.protocol import Children, Constraint, follow, mask_of


@dataclass(frozen=True, eq=False)
class Intersection:
    """Implements `Constraint`; a state is both states side by side, `one`'s columns first.

    Put the trie first: an end is named by `one`, and by `two` where `one` names nothing.
    """

    one: Constraint
    two: Constraint

    def _split(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """The states of each side, in the shapes they use themselves."""
        flat_one, flat_two = self.one.start(1).dim() == 1, self.two.start(1).dim() == 1
        columns = 1 if flat_one else self.one.start(1).shape[1]
        left, right = state[:, :columns], state[:, columns:]
        return left.squeeze(1) if flat_one else left, right.squeeze(1) if flat_two else right

    def start(self, batch: int) -> Tensor:
        """(batch, c) int64."""
        return _side_by_side(self.one.start(batch), self.two.start(batch))

    def children(self, state: Tensor) -> Children:
        """Tokens that both allow."""
        left, right = (
            side.children(part) for side, part in zip((self.one, self.two), self._split(state), strict=True)
        )
        if not len(left.row) or not len(right.row):
            nothing = left.row[:0]
            return Children(nothing, nothing, state[:0])
        vocab = int(torch.maximum(left.token.max(), right.token.max())) + 1
        place, wanted = right.row * vocab + right.token, left.row * vocab + left.token
        at = torch.searchsorted(place, wanted).clamp(max=len(place) - 1)
        both = (place[at] == wanted).nonzero().squeeze(1)
        states = _side_by_side(left.state[both], right.state[at[both]])
        return Children(left.row[both], left.token[both], states)

    def allowed(self, state: Tensor) -> Tensor:
        """(R, V) bool; V is the smaller of the two vocabularies."""
        vocab = min(
            side.allowed(part[:0]).shape[1]
            for side, part in zip((self.one, self.two), self._split(state), strict=True)
        )
        return mask_of(self.children(state), len(state), vocab)

    def advance(self, state: Tensor, token: Tensor) -> Tensor:
        """(R, c) states after one more token each."""
        return follow(self.children(state), token)

    def is_end(self, state: Tensor) -> Tensor:
        """(R,) bool: complete for both."""
        left, right = self._split(state)
        return self.one.is_end(left) & self.two.is_end(right)

    def key(self, state: Tensor) -> Tensor:
        """(R,) int64: the row one side names, -1 where neither does."""
        left, right = self._split(state)
        named = self.one.key(left)
        return torch.where(named >= 0, named, self.two.key(right))


def _side_by_side(one: Tensor, two: Tensor) -> Tensor:
    """(R,) or (R, a) and (R,) or (R, b) -> (R, a + b)."""
    return torch.cat([part.unsqueeze(1) if part.dim() == 1 else part for part in (one, two)], dim=1)
