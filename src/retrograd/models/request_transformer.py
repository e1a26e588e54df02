"""One network for search, recommendation and both: a text, a history or the two become one state.

Items, their ids and the layers are those of `id_tree`; a query is one more token, a linear map of its frozen
text vector plus the map by which items' texts are read. It sees the items before it and itself, items see
items only, so that all queries of a life are learnt in one pass. A vector per task, added to every token,
tells the network what is wanted of it.
Shapes: B rows of a batch, w tokens of a row, e dimensions of a text's vector, d width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from retrograd.models.blocks import BlockShape
from retrograd.models.id_tree import IdTreeTransformer, IdTreeTransformerModel
from retrograd.models.sequential import TEXTS, Rows, check_length, own_past
from retrograd.types import State, TextEncoder

TASKS = 3
"""Recommendation, search, and search for somebody, in this order."""


class Requests(Rows, Protocol):
    """Packed requests, as `data.request_rows` makes them."""

    queries: np.ndarray
    tasks: np.ndarray
    texts: list[str]


@dataclass(frozen=True, eq=False)
class ReadRequests:
    """Packed requests with the vectors of their texts."""

    rows: Requests
    vectors: np.ndarray
    """(texts, e) float32."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def items(self) -> np.ndarray:
        """As in `rows`."""
        return self.rows.items

    @property
    def ends(self) -> np.ndarray:
        """As in `rows`."""
        return self.rows.ends


@dataclass(frozen=True, kw_only=True)
class RequestTransformer(IdTreeTransformer):
    """One vector per node of the id tree, one per task; texts are read through a frozen encoder."""

    reads_text: bool = True

    task_prompts: bool = True
    """False: the network is not told the task, and must see it from what it is given."""

    def build(self, state: State, table: DocidTable | None = None, seed: int = 0) -> RequestTransformerModel:
        """The network for a table's keys; the same seed gives the same weights.

        Raises:
            InputError: no docids, an item without one, or `reads_text` is off.
        """
        encoder = self.reader_of(state)
        if table is None or encoder is None:
            raise InputError("this model writes docids and reads texts; give it docids and reads_text=true")
        if len(table) < len(table.document_ids):
            raise InputError("items that share a docid cannot have a text each; set docids.collisions=suffix")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return RequestTransformerModel(
                self._shape(), self.length, table, state[TEXTS], encoder, self.task_prompts
            )


class RequestTransformerModel(IdTreeTransformerModel):
    """Packed requests to states; states to choices among siblings, level by level."""

    def __init__(
        self,
        shape: BlockShape,
        length: int,
        table: DocidTable,
        texts: np.ndarray,
        encoder: TextEncoder,
        task_prompts: bool,
    ) -> None:
        super().__init__(shape, length, table, texts, encoder)
        self._reader = encoder
        self.from_query = nn.Linear(encoder.dimensions, shape.width, bias=False)
        # at first a query is near the items that say the same (measured: without it unseen queries stay lost)
        nn.init.zeros_(self.from_query.weight)
        with torch.no_grad():
            self.table.mul_(0.1)
            self.from_text.weight.mul_(3.0)
        self.tasks = (
            nn.Parameter(torch.randn(TASKS, shape.width) * shape.width**-0.5) if task_prompts else None
        )

    def read(self, rows: Requests) -> ReadRequests:
        """The vectors of the texts, from the embedding cache where it has them.

        Raises:
            InputError: a piece has more items than there are positions.
        """
        check_length(rows, self.length)
        vectors = (
            self._reader.encode_query(rows.texts)
            if rows.texts
            else np.zeros((0, self.from_query.in_features), np.float32)
        )
        return ReadRequests(rows, vectors)

    def prepare_sequences(self, rows: Rows) -> Any:
        """Packed requests as `collate` takes them.

        Raises:
            InputError: these are histories without tasks, or a piece is too long.
        """
        if not hasattr(rows, "tasks"):
            raise InputError(
                "this model learns from requests; give the stage NextItemRequests, TextRequests or "
                "PersonalRequests as examples"
            )
        return self.read(cast(Requests, rows))

    def collate(self, prepared: Any, rows: np.ndarray) -> dict[str, Tensor]:
        """As `sequential`, with `queries` (B, w, e), 0 where there is none, and `tasks` (B, w) int64."""
        found = super().collate(prepared.rows, rows)
        queries = prepared.rows.queries[rows]
        vectors = np.zeros((*queries.shape, self.from_query.in_features), np.float32)
        vectors[queries >= 0] = prepared.vectors[queries[queries >= 0]]
        tasks = torch.from_numpy(prepared.rows.tasks[rows])
        return {**found, "queries": torch.from_numpy(vectors), "tasks": tasks}

    def embedded(self, inputs: dict[str, Tensor], vectors: Tensor | None) -> Tensor:
        """(B, w, d): items as ever, queries by what they say, each with its place and the task."""
        is_item = (inputs["items"] > 0).unsqueeze(-1)
        queries = inputs["queries"]
        said = (self.from_query(queries) + self.from_text(queries)) * self.width**0.5
        places = self.positions[inputs["places"]]
        states = torch.where(is_item, super().embedded(inputs, vectors), said + places)
        return states if self.tasks is None else states + self.tasks[inputs["tasks"]]

    def visible(self, inputs: dict[str, Tensor]) -> Tensor:
        """(B, 1, w, w) float: the items before, and itself."""
        pieces = inputs["pieces"]
        is_query = (inputs["items"] == 0) & (pieces > 0)
        itself = torch.eye(pieces.shape[1], dtype=torch.bool, device=pieces.device)
        hidden = (is_query.unsqueeze(1) & ~itself).unsqueeze(1)
        return own_past(pieces).masked_fill(hidden, -torch.inf)
