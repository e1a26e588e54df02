"""A memory whose nearest rows are remembered: rows only, never scores, and only until the next write.

Knows a memory and the bytes of queries. What is answered is bit for bit what the memory would have answered.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from hashlib import blake2b

import torch
from torch import Tensor

from retrograd.indexes.drafts import Proposal
from retrograd.indexes.memory import Memory
from retrograd.ops.hits import Hits, Score


class Cached:
    """The least recently used query is forgotten first.

    Only `nearest` is remembered, so a proposal that draws still draws anew, and scores stay live. The code
    of a query is its bytes: two queries share an answer only if they are equal.

    Args:
        memory: what to ask where the answer is not known.
        size: queries remembered, at least 1.
    """

    def __init__(self, memory: Memory, size: int = 10_000) -> None:
        if size < 1:
            raise ValueError(f"size={size} must be at least 1")
        self.memory, self.size = memory, size
        self.found = self.asked = 0
        self._rows: OrderedDict[Hashable, Tensor] = OrderedDict()
        self._stamp: Hashable = None

    @property
    def hit_rate(self) -> float:
        """Share of the queries so far that were known; 0 before the first."""
        return self.found / self.asked if self.asked else 0.0

    @property
    def keys(self) -> Tensor:
        """As the memory's."""
        return self.memory.keys

    @property
    def values(self) -> Tensor:
        """As the memory's."""
        return self.memory.values

    @property
    def table(self) -> Tensor:
        """As the memory's."""
        return self.memory.table

    @property
    def exhaustive(self) -> bool:
        """As the memory's."""
        return self.memory.exhaustive

    def rows_of(self, ids: Tensor) -> Tensor:
        """As the memory's."""
        return self.memory.rows_of(ids)

    def search(
        self,
        queries: Tensor,
        proposal: Proposal,
        *,
        score: Score | None = None,
        where: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Hits:
        """As `Memory.search`."""
        draft = self.memory.propose(queries, proposal, where=where, generator=generator, rows=self)
        return self.memory.read(queries, draft, score=score)

    def nearest(self, queries: Tensor, k: int, where: Tensor | None = None) -> Tensor:
        """As `Memory.nearest`, asking it for unknown queries only."""
        if self._stamp != self.memory.stamp:
            self._rows.clear()
            self._stamp = self.memory.stamp
        codes = self._codes(queries, k, where)
        self.asked += len(codes)
        missing = [at for at, code in enumerate(codes) if code not in self._rows]
        self.found += len(codes) - len(missing)
        answers = {code: self._rows[code] for code in codes if code in self._rows}
        if missing:
            at = torch.tensor(missing, device=queries.device)
            mask = where[at] if where is not None and where.dim() == 2 else where
            rows = self.memory.nearest(queries[at], k, mask)
            answers.update((codes[place], row) for place, row in zip(missing, rows, strict=True))
        for code in codes:
            self._rows[code] = answers[code]
            self._rows.move_to_end(code)
        while len(self._rows) > self.size:
            self._rows.popitem(last=False)
        if not codes:
            return self.memory.nearest(queries, k, where)
        return torch.stack([answers[code] for code in codes])

    def _codes(self, queries: Tensor, k: int, where: Tensor | None) -> list[Hashable]:
        points = queries.detach().cpu().numpy()
        if where is None or where.dim() == 1:
            masks = [b"" if where is None else _digest(where)] * len(points)
        else:
            masks = [_digest(mask) for mask in where]
        return [(point.tobytes(), k, mask) for point, mask in zip(points, masks, strict=True)]


def _digest(mask: Tensor) -> bytes:
    return blake2b(mask.cpu().numpy().tobytes(), digest_size=16).digest()
