"""The protocol every constraint keeps, and the two questions all of them answer the same way.

Shapes: R rows (one prefix each), E legal next tokens of all rows together, V vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Children(NamedTuple):
    """Every legal next token of every row, as flat ragged columns sorted by (row, token)."""

    row: Tensor
    """(E,) int64: which of the rows asked about."""

    token: Tensor
    """(E,) int64, unique within a row."""

    state: Tensor
    """(E, ...) int64: the state after that token."""


class Constraint(Protocol):
    """Says which token may come next. A state is opaque int64 data whose first dimension is the rows."""

    def start(self, batch: int) -> Tensor:
        """States of `batch` empty prefixes: (batch, ...) int64."""
        ...

    def children(self, state: Tensor) -> Children:
        """Legal next tokens; a finished prefix has none."""
        ...

    def allowed(self, state: Tensor) -> Tensor:
        """The same as a mask: (R, V) bool. For training and for tests; search never builds it."""
        ...

    def advance(self, state: Tensor, token: Tensor) -> Tensor:
        """States after one more token each; (R, ...) and (R,) int64.

        Raises:
            ValueError: a token is not legal after its prefix.
        """
        ...

    def is_end(self, state: Tensor) -> Tensor:
        """Whether a prefix is complete: (R,) bool."""
        ...

    def key(self, state: Tensor) -> Tensor:
        """Row of the docid table a complete prefix names, -1 elsewhere: (R,) int64."""
        ...


def mask_of(children: Children, rows: int, vocab: int) -> Tensor:
    """`Constraint.allowed` from `Constraint.children`: (rows, vocab) bool."""
    mask = torch.zeros(rows, vocab, dtype=torch.bool, device=children.row.device)
    mask[children.row, children.token] = True
    return mask


def follow(children: Children, token: Tensor) -> Tensor:
    """`Constraint.advance` from `Constraint.children`: states (R, ...) after tokens (R,)."""
    taken = (children.token == token[children.row]).nonzero().squeeze(1)
    if len(taken) != len(token):
        legal = torch.zeros_like(token, dtype=torch.bool)
        legal[children.row[taken]] = True
        row = int((~legal).nonzero()[0])
        options = children.token[children.row == row].tolist()
        raise ValueError(
            f"row {row}: token {int(token[row])} may not follow its prefix; legal are {options[:20]}"
        )
    return children.state[taken]
