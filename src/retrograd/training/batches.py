"""Which examples a step sees: a pure function of (seed, stage, step), so a resumed run needs no state.

Knows arrays of prepared examples and how often each source is drawn. It never sees a model, an
objective or a text.
Shapes: B rows of a batch, L levels of a key, m hard negatives, R relevant rows, T entries of a teacher's
list, n examples of a source, w positions of a row that has a target at each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from retrograd.errors import InputError

Inputs = dict[str, Tensor]
"""Collated model inputs: tensors whose first dimension is the rows; padding is masked or zero."""

KeysOf = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""(B,) document rows -> (B, L) int64 keys padded with -1; the generator picks among several keys."""

Collate = Callable[[Any, np.ndarray], Inputs]
"""A source's prepared texts and (rows,) int64 -> the inputs of these rows."""

DocumentInputs = Callable[[Tensor], Inputs]
"""(D,) int64 document rows -> the collated inputs of these documents."""


@dataclass(frozen=True)
class Batch:
    """What an objective sees of the data."""

    inputs: Inputs
    """Collated inputs of the B examples."""

    documents: Tensor
    """(B,) int64 row of each example's document, or (B, w) of each position's, -1 where it has none."""

    keys: Tensor | None = None
    """(B, L) or (B, w, L) int64, -1 padded; None for models without docids."""

    negatives: Tensor | None = None
    """(B, m) int64 rows of hard negatives, -1 padded."""

    relevant: Tensor | None = None
    """(B, R) int64 rows that are right answers too and must not serve as negatives, -1 padded."""

    lists: Tensor | None = None
    """(B, T) int64 rows a teacher ranked, best first, -1 padded; None where no source has lists."""

    list_scores: Tensor | None = None
    """(B, T) float32 the teacher's scores of `lists`, 0 at padding."""

    document_inputs: DocumentInputs | None = None
    """Makes the inputs of documents, on the device of the batch; None where no objective asks."""

    num_documents: int = 0
    """Documents of the corpus, for objectives that draw some of them; 0 where nobody said."""

    frequencies: Tensor | None = None
    """(documents,) int64 how often each is a target in the sources of the stage, for objectives that draw
    some by that; None where nobody said how many there are."""

    progress: float = 0.0
    """Share of the stage that lies behind, in [0, 1): what schedules of an objective follow."""

    def to(self, device: torch.device) -> Batch:
        """The same batch with its tensors on `device`."""
        if device.type == "cpu":
            return self
        make = self.document_inputs
        return Batch(
            inputs=_move(self.inputs, device),
            documents=self.documents.to(device),
            keys=None if self.keys is None else self.keys.to(device),
            negatives=None if self.negatives is None else self.negatives.to(device),
            relevant=None if self.relevant is None else self.relevant.to(device),
            lists=None if self.lists is None else self.lists.to(device),
            list_scores=None if self.list_scores is None else self.list_scores.to(device),
            document_inputs=None if make is None else lambda rows: _move(make(rows.cpu()), device),
            num_documents=self.num_documents,
            frequencies=None if self.frequencies is None else self.frequencies.to(device),
            progress=self.progress,
        )


@dataclass(frozen=True, kw_only=True)
class PreparedSource:
    """One source of examples after all gradient-free work."""

    prepared: Any
    """What the model's `prepare` made of the texts; its `collate` gathers rows of it."""

    documents: np.ndarray
    """(n,) int64 document row of each example, or (n, w) of each position of it, -1 where it has none."""

    negatives: np.ndarray | None = None
    """(n, m) int64, -1 padded."""

    relevant: np.ndarray | None = None
    """(n, R) int64, -1 padded; see `answers_sharing_a_text`."""

    lists: np.ndarray | None = None
    """(n, T) int64 rows a teacher ranked, -1 padded."""

    list_scores: np.ndarray | None = None
    """(n, T) float32 the teacher's scores of `lists`."""

    weight: float = 1.0
    """Share of the batch rows, relative to the other sources."""

    def __len__(self) -> int:
        return len(self.documents)


def answers_sharing_a_text(texts: Sequence[str], documents: np.ndarray) -> np.ndarray | None:
    """(n, R) all document rows paired with an example's text, -1 padded; None where each has one.

    >>> answers_sharing_a_text(["a", "b", "a"], np.array([4, 5, 6])).tolist()
    [[4, 6], [5, -1], [4, 6]]
    """
    rows_of: dict[str, list[int]] = {}
    for text, document in zip(texts, documents.tolist(), strict=True):
        rows = rows_of.setdefault(text, [])
        if document not in rows:
            rows.append(document)
    most = max((len(rows) for rows in rows_of.values()), default=0)
    if most < 2:
        return None
    return np.array([rows_of[text] + [-1] * (most - len(rows_of[text])) for text in texts], np.int64)


@dataclass
class BatchPlan:
    """Every batch of a stage by its number.

    Each row of a batch draws its source by weight; within a source, rows come in a new random
    order each epoch, so none is seen twice before all are seen once. Two plans with the same
    arguments give the same batches, in whatever order they are asked for.
    """

    sources: Sequence[PreparedSource]
    collate: Collate
    batch_size: int
    num_batches: int
    seed: int
    stage_index: int
    keys_of: KeysOf | None = None
    document_inputs: DocumentInputs | None = None
    num_documents: int = 0
    _orders: dict[int, tuple[int, np.ndarray]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.sources = [source for source in self.sources if len(source)]
        if not self.sources:
            raise InputError("the stage has no examples; check its sources and that the data has queries")
        weights = np.array([source.weight for source in self.sources], np.float64)
        draw = self._generator(_COUNTS)
        self._counts = draw.multinomial(self.batch_size, weights / weights.sum(), size=self.num_batches)
        self._starts = np.cumsum(self._counts, axis=0) - self._counts

    def __len__(self) -> int:
        return self.num_batches

    @property
    def watch_every(self) -> int:
        """Batches between looks at how training goes: an epoch over the examples, a 20th of all if less."""
        epoch = sum(map(len, self.sources)) // self.batch_size
        return max(1, min(epoch, len(self) // 20))

    def rows(self, number: int) -> list[tuple[int, np.ndarray]]:
        """(source, example rows) pairs of batch `number`; the rows sum to `batch_size`."""
        counts, starts = self._counts[number], self._starts[number]
        return [(s, self._take(s, starts[s], counts[s])) for s in range(len(self.sources)) if counts[s]]

    def batch(self, number: int) -> tuple[Batch, int]:
        """Batch `number` on the CPU, and the seed for everything random in its step."""
        draw = self._generator(_BATCHES, number)
        torch_seed = int(draw.integers(2**63))
        drawn = [(self.sources[source], rows) for source, rows in self.rows(number)]
        inputs = concatenate([self.collate(source.prepared, rows) for source, rows in drawn])
        documents = np.concatenate(_alike([source.documents[rows] for source, rows in drawn]))
        keys = (
            None if self.keys_of is None else torch.from_numpy(keys_of_targets(self.keys_of, documents, draw))
        )
        return Batch(
            inputs=inputs,
            documents=torch.from_numpy(documents),
            keys=keys,
            negatives=_padded([(source.negatives, rows) for source, rows in drawn]),
            relevant=_padded([(source.relevant, rows) for source, rows in drawn]),
            lists=_padded([(source.lists, rows) for source, rows in drawn]),
            list_scores=_padded([(source.list_scores, rows) for source, rows in drawn], fill=np.float32(0)),
            document_inputs=self.document_inputs,
            num_documents=self.num_documents,
            frequencies=self._frequencies,
            progress=number / self.num_batches,
        ), torch_seed

    @cached_property
    def _frequencies(self) -> Tensor | None:
        if not self.num_documents:
            return None
        targets = np.concatenate([source.documents.ravel() for source in self.sources])
        return torch.from_numpy(np.bincount(targets[targets >= 0], minlength=self.num_documents))

    def _take(self, source: int, start: int, count: int) -> np.ndarray:
        """Positions `start ... start + count` of the endless shuffled stream of one source."""
        size = len(self.sources[source])
        parts = []
        while count > 0:
            epoch, at = divmod(start, size)
            part = self._order(source, epoch)[at : at + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _order(self, source: int, epoch: int) -> np.ndarray:
        kept = self._orders.get(source)
        if kept is None or kept[0] != epoch:
            order = self._generator(_ORDERS + source, epoch).permutation(len(self.sources[source]))
            kept = self._orders[source] = (epoch, order)
        return kept[1]

    def _generator(self, purpose: int, number: int = 0) -> np.random.Generator:
        # Philox is counter-based: any batch's stream starts in constant time
        key = np.array([self.seed % 2**64, self.stage_index], np.uint64)
        return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, int(number), purpose]))


def keys_of_targets(keys_of: KeysOf, documents: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Keys (..., L) int64 of documents (...); all -1 where there is no document."""
    where = documents >= 0
    found = keys_of(documents[where], generator)
    keys = np.full((*documents.shape, found.shape[1]), _NO_ROW)
    keys[where] = found
    return keys


def _alike(targets: list[np.ndarray]) -> list[np.ndarray]:
    """Rows of targets per position padded to one width."""
    widest = max(array.shape[-1] for array in targets)
    if len(targets) == 1 or targets[0].ndim == 1:
        return targets
    return [
        np.pad(array, ((0, 0), (0, widest - array.shape[1])), constant_values=_NO_ROW) for array in targets
    ]


_COUNTS, _BATCHES, _ORDERS = 0, 1, 2
_NO_ROW = np.int64(-1)


def concatenate(parts: Sequence[Inputs]) -> Inputs:
    """Collated inputs of several sources behind one another, right-padded with zeros (False in masks).

    >>> concatenate([{"ids": torch.ones(1, 1)}, {"ids": torch.ones(1, 2)}])["ids"]
    tensor([[1., 0.],
            [1., 1.]])
    """
    if len(parts) == 1:
        return parts[0]
    if len({frozenset(part) for part in parts}) > 1:
        raise InputError("the sources of a stage give different kinds of inputs and cannot share a batch")
    return {name: torch.cat(_pad_alike([part[name] for part in parts])) for name in parts[0]}


def _pad_alike(tensors: list[Tensor]) -> list[Tensor]:
    shape = [max(sizes) for sizes in zip(*(tensor.shape[1:] for tensor in tensors), strict=True)]
    padded = []
    for tensor in tensors:
        missing = [size - have for size, have in zip(shape, tensor.shape[1:], strict=True)]
        amounts = [amount for gap in reversed(missing) for amount in (0, gap)]
        padded.append(F.pad(tensor, amounts) if any(amounts) else tensor)
    return padded


def _padded(
    parts: list[tuple[np.ndarray | None, np.ndarray]], fill: np.int64 | np.float32 = _NO_ROW
) -> Tensor | None:
    """Lists of several sources as one (B, widest) tensor padded with `fill`; None where none has any."""
    widest = max((0 if array is None else array.shape[1] for array, _ in parts), default=0)
    if not widest:
        return None
    out = np.full((sum(len(rows) for _, rows in parts), widest), fill)
    at = 0
    for array, rows in parts:
        if array is not None:
            out[at : at + len(rows), : array.shape[1]] = array[rows]
        at += len(rows)
    return torch.from_numpy(out)


def _move(inputs: Inputs, device: torch.device) -> Inputs:
    return {name: tensor.to(device, non_blocking=True) for name, tensor in inputs.items()}
