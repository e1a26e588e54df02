"""What every network that reads text is built on: texts in, memory states out.

Knows neither docids nor objectives. The heavy, gradient-free part (tokenising, frozen encoders)
runs once in `prepare`; training then only gathers rows.
Shapes: B rows of a batch, S memory slots, d width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from torch import Tensor

from retrograd.types import State

Role = Literal["query", "document"]
"""Which side of retrieval a text stands on; some encoders treat the two differently."""


@dataclass(frozen=True)
class Memory:
    """Encoded inputs a decoder attends to."""

    states: Tensor
    """(B, S, d) float."""

    where: Tensor
    """(B, S) bool, False for padding; at least one True per row."""


class Prepared(Protocol):
    """Texts after the gradient-free part, held on the host."""

    def __len__(self) -> int: ...


class InputEncoder(Protocol):
    """The encoder half of a network; implementations are `nn.Module`s.

    Frozen pretrained weights stay out of `state_dict`: they are resolved again on loading and
    their fingerprint is compared.
    """

    width: int
    """d of the memory it makes."""

    fingerprint: str
    """sha256 over all it depends on that is not in its `state_dict`."""

    def prepare(self, texts: Sequence[str], role: Role = "query") -> Any:
        """Tokenise or encode all texts once, without gradient."""
        ...

    def collate(self, prepared: Any, rows: np.ndarray) -> dict[str, Tensor]:
        """The tensors of some rows (n,), padded to the longest of them."""
        ...

    def __call__(self, batch: dict[str, Tensor]) -> Memory:
        """Differentiable part."""
        ...


class InputConfig(Protocol):
    """The choice of an input encoder as a value."""

    def fit(self, texts: Sequence[str]) -> State:
        """What must be learnt from the collection (a tokenizer); {} where nothing is."""
        ...

    def build(self, state: State) -> Any:
        """The module, from what `fit` returned or what was saved of it."""
        ...
