"""Memory: rows of keys and values that are searched by an index and read by gradients.

Which rows are found is the index's choice, made without gradient and possibly with keys of long ago; how
they score is computed from the keys as they stand, so gradients reach queries, keys and values. Knows
vectors, an index and whatever the rows stand for, unread; neither texts nor losses.
Shapes: n rows (deleted ones included), d dimensions, ... queries, B of them, K columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from retrograd.indexes.drafts import Draft, Proposal, Request, compact
from retrograd.indexes.key_index import FLAT, METRICS, KeyIndex
from retrograd.indexes.memory_file import Contents, read_contents, write_contents
from retrograd.indexes.refresh import Drift, Policy, Staleness, overlap_at
from retrograd.indexes.version_guard import guarded
from retrograd.ops.hits import Hits, Score

_SAMPLE = 512
"""Rows that are encoded to see how far the index has drifted."""


class Memory(nn.Module):
    """Keys and values, rows of which a query mixes.

    Tensors that carry a gradient are kept as they are, so a memory may be made of activations and thrown
    away. With `trainable` they become parameters of the module; rows that no query hits get no gradient.

    Args:
        keys: (n, d) float.
        values: (n, *) float, what is mixed; None: the keys.
        ids: (n,) int64 at least 0, unique; None for 0 to n - 1.
        payload: n things the rows stand for; `refresh` gives them to its encoder.
        index: `flat` (exact, sees every change at once) or a factory string of faiss (inner products).
        parameters: of a faiss search, as faiss writes them (`nprobe=16`).
        metric: a key of `METRICS`.
        trainable: keep keys and values as parameters.
        sparse: their gradients name the rows hit, for `SparseAdam` and large n; once differentiable only.
        encoder: payload -> (m, d) keys, for `refresh`.

    Raises:
        ValueError: shapes that do not fit, ids that are not unique, an unknown metric.
        InputError: faiss is not installed, or refuses the index.

    >>> memory = Memory(torch.eye(2), torch.tensor([[1.0], [3.0]]))
    >>> from retrograd.indexes.proposals import TopK
    >>> memory.search(torch.tensor([[0.0, 5.0]]), TopK(1)).values
    tensor([[[3.]]])
    """

    def __init__(
        self,
        keys: Tensor,
        values: Tensor | None = None,
        *,
        ids: Tensor | None = None,
        payload: Sequence[Any] | None = None,
        index: str = FLAT,
        parameters: str = "",
        metric: str = "dot",
        trainable: bool = False,
        sparse: bool = False,
        encoder: Callable[[Sequence[Any]], Tensor] | None = None,
    ) -> None:
        super().__init__()
        ids = torch.arange(len(keys), device=keys.device) if ids is None else ids
        _check(keys, values, ids, payload)
        self.sparse, self.trainable = sparse, trainable
        self.index = KeyIndex(index, parameters, metric)
        self.encoder = encoder
        self.payload: list[Any] | None = None if payload is None else list(payload)
        self._put("keys", keys)
        self._put("own_values", values)
        self.register_buffer("ids", ids)
        self.register_buffer("alive", torch.ones(len(keys), dtype=torch.bool, device=keys.device))
        self.version = 0
        """Counts writes: add, delete, refresh. What was read before one has no gradient after it."""

        self.age = 0
        """Calls of `refresh` since the keys were last taken anew."""

        self._build()
        self.register_load_state_dict_post_hook(lambda module, _: module._written(built=True))  # type: ignore[no-untyped-call]

    keys: Tensor
    own_values: Tensor | None
    ids: Tensor
    alive: Tensor
    _filed_keys: Tensor

    @property
    def values(self) -> Tensor:
        """(n, *) what is mixed."""
        return self.keys if self.own_values is None else self.own_values

    def __len__(self) -> int:
        return int(self.alive.sum())

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{len(self)} rows of {self.keys.shape[1]} dimensions, index={self.index.index!r}"

    # What proposals ask for.

    @property
    def table(self) -> Tensor:
        """(n, d) keys as the index compares them, without gradient."""
        return self.index.compared(self.keys)

    @property
    def exhaustive(self) -> bool:
        """Whether the index misses nothing and sees the keys as they stand."""
        return self.index.exhaustive

    @property
    def stamp(self) -> Hashable:
        """Changes with every write and with every change of a key or value in place."""
        values = None if self.own_values is None else self.own_values._version
        return self.version, self.keys._version, values

    def nearest(self, queries: Tensor, k: int, where: Tensor | None = None) -> Tensor:
        """(B, d) queries -> (B, at most k) rows by the index, best first, -1 padded.

        `where` (n,) or (B, n) bool is applied before the k are counted; deleted rows are never found.
        """
        where = self.alive if where is None else where & self.alive
        return self.index.nearest(self.keys, queries, k, where)

    def rows_of(self, ids: Tensor) -> Tensor:
        """The row of each id, of any shape; -1 stays -1.

        Raises:
            ValueError: an id that is not here, or no longer.
        """
        ordered, order = self.ids.masked_fill(~self.alive, -1).sort()
        places = torch.searchsorted(ordered, ids.contiguous()).clamp(max=max(len(ordered) - 1, 0))
        known = (ordered[places] == ids) & (ids >= 0) if len(ordered) else torch.zeros_like(ids) > 0
        if bool((~known & (ids >= 0)).any()):
            raise ValueError(f"id {int(ids[~known & (ids >= 0)][0])} is not in the memory")
        return order[places].masked_fill(~known, -1) if len(ordered) else torch.full_like(ids, -1)

    # Reading.

    def search(
        self,
        queries: Tensor,
        proposal: Proposal,
        *,
        score: Score | None = None,
        where: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Hits:
        """Choose rows without gradient, then score them with gradient.

        Args:
            queries: (..., d) float.
            proposal: how to choose.
            score: of (queries, hits); None for the memory's own metric.
            where: (n,) or (..., n) bool over rows, False for rows that are not to be chosen: the answer
                is that of a memory without them.
            generator: draws whatever the proposal leaves to chance.
        """
        draft = self.propose(queries, proposal, where=where, generator=generator)
        return self.read(queries, draft, score=score)

    @torch.no_grad()
    def propose(
        self,
        queries: Tensor,
        proposal: Proposal,
        *,
        where: Tensor | None = None,
        generator: torch.Generator | None = None,
        rows: Any = None,
    ) -> Draft:
        """The discrete half of `search`, for B flattened queries; `rows` answers in the memory's place."""
        points = queries.detach().reshape(-1, queries.shape[-1])
        if where is not None and where.dim() > 1:
            where = where.reshape(-1, where.shape[-1])
        request = Request(
            queries=points,
            rows=self if rows is None else rows,
            where=self.alive if where is None else where & self.alive,
            taken=points.new_empty(len(points), 0, dtype=torch.int64),
            generator=generator,
        )
        draft = proposal.propose(request)
        found, log_inclusion, head = compact(draft.rows, draft.log_inclusion, draft.head.to(torch.uint8))
        return replace(draft, rows=found, log_inclusion=log_inclusion, head=head > 0)

    def read(self, queries: Tensor, draft: Draft, *, score: Score | None = None) -> Hits:
        """The smooth half of `search`."""
        batch, where = queries.shape[:-1], draft.rows >= 0
        shape = (*batch, draft.rows.shape[-1])
        keys = self._look_up(self.keys, draft.rows)
        values = keys if self.own_values is None else self._look_up(self.own_values, draft.rows)
        hits = Hits(
            ids=self.ids[draft.rows.clamp(min=0)].masked_fill(~where, -1).reshape(shape),
            scores=keys.new_zeros(shape),
            log_weight=(-draft.log_inclusion).to(keys.dtype).reshape(shape),
            values=values.reshape(*shape, *values.shape[2:]),
            where=where.reshape(shape),
            label=draft.label,
            head=draft.head.reshape(shape),
            queries=queries,
            keys=keys.reshape(*shape, *keys.shape[2:]),
            stages=draft.stages,
        )
        if score is not None:
            hits = hits.rescore(score)
            return replace(hits, scores=guarded(hits.scores, lambda: self.stamp))
        scores = METRICS[self.index.metric](queries, hits.keys).masked_fill(~hits.where, 0.0)
        return replace(hits, scores=guarded(scores, lambda: self.stamp))

    def gather(self, ids: Tensor) -> Tensor:
        """(..., *) the values of ids of any shape, with gradient; 0 for an id of -1.

        Raises:
            ValueError: an id that is not here.
        """
        rows = self.rows_of(ids)
        return self._look_up(self.values, rows.reshape(-1, 1)).reshape(*ids.shape, *self.values.shape[1:])

    def things(self, ids: Tensor) -> list[Any]:
        """The payload of some ids, of any shape, in their order; None for an id of -1."""
        if self.payload is None:
            raise ValueError("the memory was made without a payload")
        return [None if row < 0 else self.payload[row] for row in self.rows_of(ids).reshape(-1).tolist()]

    def _look_up(self, table: Tensor, rows: Tensor) -> Tensor:
        flat = table.flatten(1) if table.dim() > 1 else table.unsqueeze(1)
        found = F.embedding(rows.clamp(min=0), flat, sparse=self.sparse)
        found = found.masked_fill((rows < 0).unsqueeze(-1), 0.0)
        return guarded(found, lambda: self.stamp).reshape(*rows.shape, *table.shape[1:])

    def forward(self, queries: Tensor, proposal: Proposal, **options: Any) -> Tensor:
        """(..., d) queries -> (..., *) mixtures of values, by `retrieve`: the memory as a layer."""
        from retrograd.indexes.retrieve import retrieve

        return retrieve(queries, self, proposal, **options)

    # Writing.

    def add(
        self, ids: Tensor, keys: Tensor, values: Tensor | None = None, *, payload: Sequence[Any] | None = None
    ) -> None:
        """Add rows. Where keys are trainable they become new parameters, of which optimisers must be told.

        Raises:
            ValueError: an id that is or was here, shapes that do not fit, or a payload where there is none
                (and the other way round). Nothing has changed then.
        """
        if (values is None) != (self.own_values is None) or (payload is None) != (self.payload is None):
            raise ValueError("new rows need values and payload exactly where the memory has them")
        values_after = None if values is None else torch.cat([self.values.detach(), values.detach()])
        ids_after = torch.cat([self.ids, ids.to(self.ids)])
        keys_after = torch.cat([self.keys.detach(), keys.detach().to(self.keys)])
        things = None if payload is None else [*(self.payload or []), *payload]
        _check(keys_after, values_after, ids_after, things)
        self.payload, self.ids = things, ids_after
        self.alive = torch.cat([self.alive, self.alive.new_ones(len(ids))])
        self._put("keys", keys_after)
        self._put("own_values", values_after)
        self.index.add(keys)
        self._filed_keys = torch.cat([self._filed_keys, self.index.compared(keys).to(self._filed_keys)])
        self._written(built=False)

    def delete(self, ids: Tensor) -> None:
        """Hide rows for good: nothing finds, draws or reads them any more.

        Raises:
            ValueError: an id that is not here.
        """
        rows = self.rows_of(ids)
        self.alive = self.alive.index_fill(0, rows[rows >= 0], False)
        self._written(built=False)

    @torch.no_grad()
    def refresh(
        self,
        when: Policy | None = None,
        *,
        encoder: Callable[[Sequence[Any]], Tensor] | None = None,
        probes: Tensor | None = None,
        k: int = 10,
        seed: int = 0,
    ) -> Staleness:
        """Take keys anew and build the index again, if it is time.

        Fresh keys are the encoder's, of the payload; without an encoder they are the memory's own, which
        training may have moved away from those that were filed.

        Args:
            when: `Never()`, `Every(steps)`, `Drift(overlap)`; None: now.
            encoder: payload -> (m, d); None for that of the memory, or none.
            probes: (q, d) queries whose answers may not drift; a policy that looks needs them.
            k: answers of each that are compared, among a drawn sample of rows.
            seed: of the sample.
        """
        self.age += 1
        encoder = encoder or self.encoder
        if when is None or not when.looks or probes is None:
            if probes is None and isinstance(when, Drift):
                raise ValueError(f"{when} compares answers; give it the queries to look at as probes")
            seen = Staleness(age=self.age, k=k, overlap=math.nan, cosine=math.nan, refreshed=False)
        else:
            seen = self.staleness(probes, encoder=encoder, k=k, seed=seed)
        if when is not None and not when.due(seen.age, seen.overlap):
            return seen
        if encoder is not None:
            fresh = self._encoded(encoder, range(len(self.keys)))
            self.keys.detach().copy_(fresh) if self.trainable else self._put("keys", fresh)
        self.age = 0
        self._written(built=True)
        return replace(seen, refreshed=True)

    @torch.no_grad()
    def staleness(
        self,
        probes: Tensor,
        *,
        encoder: Callable[[Sequence[Any]], Tensor] | None = None,
        k: int = 10,
        seed: int = 0,
    ) -> Staleness:
        """How far the keys that were filed are from fresh ones; nothing changes. Arguments as `refresh`."""
        overlap, alike = self._drift(encoder or self.encoder, probes, k, seed)
        return Staleness(age=self.age, k=k, overlap=overlap, cosine=alike, refreshed=False)

    def _drift(
        self, encoder: Callable[[Sequence[Any]], Tensor] | None, probes: Tensor, k: int, seed: int
    ) -> tuple[float, float]:
        generator = torch.Generator().manual_seed(seed)
        living = self.alive.nonzero().squeeze(-1).cpu()
        rows = living[torch.randperm(len(living), generator=generator)[:_SAMPLE]].sort().values
        fresh, stored = self._encoded(encoder, rows.tolist()), self._filed_keys[rows]
        fresh = self.index.compared(fresh)
        return overlap_at(stored, fresh, probes, k), float(F.cosine_similarity(stored, fresh, dim=-1).mean())

    def _encoded(self, encoder: Callable[[Sequence[Any]], Tensor] | None, rows: Sequence[int]) -> Tensor:
        if encoder is None:
            return self.keys.detach()[torch.as_tensor(rows, dtype=torch.int64)]
        if self.payload is None:
            raise ValueError("an encoder reads the payload, and the memory was made without one")
        return encoder([self.payload[row] for row in rows]).detach().to(self.keys)

    def _put(self, name: str, tensor: Tensor | None) -> None:
        if tensor is None or not self.trainable:
            self.register_buffer(name, tensor)
        elif isinstance(tensor, nn.Parameter):
            self.register_parameter(name, tensor)
        else:
            self.register_parameter(name, nn.Parameter(tensor.detach().clone()))

    def _written(self, *, built: bool) -> None:
        self.version += 1
        if built:
            self._build()

    def _build(self) -> None:
        # Trained keys move in place; those that were filed are what drift is measured from.
        moves = self.trainable or not self.index.exhaustive
        filed = self.table.clone() if moves else self.table
        self.register_buffer("_filed_keys", filed, persistent=False)
        self.index.build(self.keys)

    # Keeping.

    def save(self, folder: str | Path) -> None:
        """Write all but the encoder into a folder, atomically, with hashes; the payload must be JSON.

        Raises:
            ValueError: a payload that is no JSON.
            StorageError: the disk refused.
        """
        arrays = {"keys": _array(self.keys), "ids": _array(self.ids)}
        arrays["alive"] = _array(self.alive)
        if self.own_values is not None:
            arrays["values"] = _array(self.own_values)
        settings = {
            "index": self.index.index,
            "parameters": self.index.parameters,
            "metric": self.index.metric,
            "trainable": self.trainable,
            "sparse": self.sparse,
        }
        told = {"settings": settings, "version": self.version, "age": self.age}
        if not torch.equal(self._filed_keys, self.table):
            arrays["filed_keys"] = _array(self._filed_keys)
        filed = self.index.state()
        write_contents(folder, Contents(arrays=arrays, filed=filed, told=told, payload=self.payload))

    @classmethod
    def load(cls, folder: str | Path, *, encoder: Callable[[Sequence[Any]], Tensor] | None = None) -> Memory:
        """What `save` wrote, with the index as it was.

        Raises:
            ArtifactError: a folder that is missing, damaged, or no memory.
        """
        saved = read_contents(folder)
        tensors = {name: torch.from_numpy(array) for name, array in saved.arrays.items()}
        settings = saved.told["settings"]
        memory = cls(
            tensors["keys"],
            tensors.get("values"),
            ids=tensors["ids"],
            payload=saved.payload,
            encoder=encoder,
            **settings | {"index": FLAT},  # built below, from what was filed
        )
        memory.alive = tensors["alive"]
        memory.version, memory.age = saved.told["version"], saved.told["age"]
        memory.index = KeyIndex(settings["index"], settings["parameters"], settings["metric"])
        memory.index.load(saved.filed, memory.keys)
        memory._filed_keys = tensors.get("filed_keys", memory._filed_keys)
        return memory


def _check(keys: Tensor, values: Tensor | None, ids: Tensor, payload: Sequence[Any] | None) -> None:
    if keys.dim() != 2 or not keys.is_floating_point():
        raise ValueError(f"keys of shape {tuple(keys.shape)} and {keys.dtype} must be (n, d) floats")
    for name, count in (
        ("values", len(keys) if values is None else len(values)),
        ("ids", len(ids)),
        ("payload", len(keys) if payload is None else len(payload)),
    ):
        if count != len(keys):
            raise ValueError(f"{count} {name} for {len(keys)} keys; give one for each")
    if len(ids) and (int(ids.min()) < 0 or not bool(ids.sort().values.diff().all())):
        raise ValueError("ids must be at least 0, and none may stand or have stood for two rows")


def _array(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().cpu().numpy()
    return array
