"""Next items by a network that writes their keys: the probability of every key after a history.

Joins a model of code sequences to the trie of all keys. The whole catalogue is scored exactly, or a beam
finds the best keys; exclusion and order of the answers are `next_item`'s. Items that share a key score alike.
Shapes: q histories, n items of the corpus, B histories of a batch, K keys, L levels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from retrograd.constraints import CsrTrie
from retrograd.data.sequences import pack
from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from retrograd.models.code_sequences import SpeltRows, collate_keys, keys_of_items
from retrograd.models.inference import device_of, without_dropout
from retrograd.search.beam import beam_search
from retrograd.search.next_item import UNPROPOSED, ItemScores, NextItemSearcher
from retrograd.search.parts import Parts
from retrograd.search.score_all import score_nodes


@dataclass(frozen=True, kw_only=True)
class CodeSequenceScores:
    """How much likelier an item's key is after a history than by chance: `log p + sum_l log V_l`."""

    width: int = 0
    """Beams kept at every level, beside one for each item of the history, so that so many answers are left
    when those are taken out. 0 scores every item of the catalogue: exact, and its cost grows with it."""

    exclude_history: bool = True
    """Never answer with what the asker took before."""

    batch_size: int = 16
    """Histories of one length read together; changes speed, not answers."""

    block: int = 2048
    """Rows in one step when all items are scored, about."""

    reads_history: ClassVar[bool] = True
    reads_text: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.width < 0 or min(self.batch_size, self.block) < 1:
            raise InputError(
                f"width={self.width} must not be negative, and batch_size={self.batch_size} and "
                f"block={self.block} at least 1"
            )

    def build(self, parts: Parts) -> NextItemSearcher:
        """The trie of the items there are now.

        Raises:
            InputError: the system has no model of code sequences, or items without keys.
        """
        if parts.model is None or parts.table is None or not hasattr(parts.model, "level_logits"):
            raise InputError(
                "this search needs a model of code sequences and docids; give the recipe a CodeTransformer"
            )
        assert parts.model.level_sizes == parts.table.level_sizes, "a model grows with its table"
        scores = KeyScores(self, parts.model, parts.table)
        return NextItemSearcher(parts.corpus, scores, exclude_history=self.exclude_history)


class KeyScores:
    """Scores of all items by what a model says of their keys. Implements `HistoryScores`.

    Args:
        texts: (n, e) float32, for a model that reads texts of items.
    """

    def __init__(
        self,
        config: CodeSequenceScores,
        model: Any,
        table: DocidTable,
        texts: np.ndarray | None = None,
    ) -> None:
        self.config, self.model, self.texts = config, model, texts
        self.trie = CsrTrie.from_table(table, device_of(model))
        self.keys = keys_of_items(table)
        keys, starts = table.by_document
        self._key_of_item = keys[starts[:-1]]

    def states(self, histories: Sequence[np.ndarray]) -> np.ndarray:
        """(q, d) float32 states after histories, of a model that has such; 0 after an empty one."""
        found = np.zeros((len(histories), self.model.shape.width), np.float32)
        for at in self._batches(histories):
            found[at] = self.model.last_states(self._inputs([histories[one] for one in at]))
        return found

    def __call__(self, histories: Sequence[np.ndarray]) -> ItemScores:
        """As `HistoryScores`: nothing is proposed for an empty history."""
        scores = np.full((len(histories), len(self.keys)), UNPROPOSED, np.float32)
        with without_dropout(self.model), torch.inference_mode():
            for at in self._batches(histories):
                inputs = self._inputs([histories[one] for one in at])
                beams = self.config.width + len(histories[at[0]])
                found = self._found(inputs, beams) if self.config.width else self._every(inputs)
                scores[at] = found.float().cpu().numpy()[:, self._key_of_item] + self._chance
        return ItemScores(scores, logits=True)

    @cached_property
    def _chance(self) -> float:
        return sum(log(size) for size in self.model.level_sizes)

    def _batches(self, histories: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """Places of histories of one length, so that no answer depends on the company it was asked in."""
        lengths = np.array([len(history) for history in histories], np.int64)
        for length in np.unique(lengths[lengths > 0]):
            same = np.flatnonzero(lengths == length)
            for first in range(0, len(same), self.config.batch_size):
                yield same[first : first + self.config.batch_size]

    def _inputs(self, histories: Sequence[np.ndarray]) -> dict[str, Tensor]:
        read = [history[-self.model.length :] for history in histories]
        rows = pack(read, len(read[0]))  # each fills a row
        inputs = collate_keys(SpeltRows(rows, self.keys, self.texts), np.arange(len(rows)))
        return {name: tensor.to(self.trie.token.device) for name, tensor in inputs.items()}

    def _every(self, inputs: dict[str, Tensor]) -> Tensor:
        """(B, K) log-probabilities of all keys."""
        total = score_nodes(self.model, inputs, self.trie, block=self.config.block)
        for first, after in zip(self.trie.level_start[1:-1], self.trie.level_start[2:], strict=True):
            total[:, first:after] += total[:, self.trie.parent[first:after]]
        return total[:, self.trie.node_of_key]

    def _found(self, inputs: dict[str, Tensor], beams: int) -> Tensor:
        """(B, K) the same of the keys that a beam finds, `UNPROPOSED` elsewhere."""
        result = beam_search(self.model, inputs, self.trie, width=beams)
        # keys of -1 stand behind the last answer, with a score of -inf: they go to a column of their own
        total = result.scores.new_full((len(result.keys), len(self.trie.leaves) + 1), UNPROPOSED)
        return total.scatter_(1, result.keys % total.shape[1], result.scores)[:, :-1]
