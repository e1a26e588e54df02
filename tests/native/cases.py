"""Random networks, queries and catalogues for the compiled core, and what two results must share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from retrograd.constraints import AllowList, Constraint, CsrTrie
from retrograd.docid_table import DocidTable
from retrograd.models.blocks import BlockShape
from retrograd.models.encoder_decoder import EncoderDecoderModel
from retrograd.models.inputs import Memory
from retrograd.native import Library, NativeDecoder
from retrograd.search.beam import NORMALISE, BeamResult, beam_search
from retrograd.search.packing import native_trie, shape_of, weights_of
from tests.catalogues import tables

TOLERANCE = 1e-4


class GivenMemory(nn.Module):
    """An input encoder whose memory is its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.fingerprint = width, "given"

    def forward(self, batch: dict[str, Tensor]) -> Memory:
        return Memory(batch["states"], batch["where"])


@dataclass(frozen=True)
class Case:
    """One search: everything that both loops need."""

    table: DocidTable
    model: EncoderDecoderModel
    constraint: Constraint
    inputs: dict[str, Tensor]
    options: dict[str, Any]
    """Width, normalise and prior."""

    def torch_result(self) -> BeamResult:
        """By the torch loop."""
        return beam_search(self.model, self.inputs, self.constraint, **self.options)

    def native_result(self, library: Library, target: str | None = None, **more: int) -> BeamResult:
        """By the compiled core."""
        decoder = NativeDecoder(library, shape_of(self.model), weights_of(self.model), target)
        prior = self.options["prior"]
        options = self.options | {"prior": None if prior is None else prior.numpy()} | more
        arrays = self.inputs["states"].numpy(), self.inputs["where"].numpy()
        found = decoder.search(*arrays, native_trie(self.constraint), **options)
        return BeamResult(*map(torch.from_numpy, found))


def random_model(table: DocidTable, seed: int, **changes: Any) -> EncoderDecoderModel:
    """Any decoder shape; weights drawn from `seed`."""
    torch.manual_seed(seed)
    tied = changes.pop("tied", False)
    sizes: dict[str, Any] = {"width": 12, "layers": 2, "heads": 3, "head_width": 5, "feed_forward": 18}
    model = EncoderDecoderModel(
        GivenMemory((sizes | changes)["width"]),
        BlockShape(**(sizes | changes)),
        table.level_sizes,
        shared_vocabulary=table.shared_vocabulary,
        tied=tied,
    ).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("norm.weight"):
                weight.uniform_(0.5, 1.5)
    return model


def random_inputs(width: int, batch: int, slots: int, seed: int) -> dict[str, Tensor]:
    """Memory whose padding stands anywhere; at least one real slot per query."""
    draw = np.random.default_rng(seed)
    where = draw.random((batch, slots)) < 0.7
    where[np.arange(batch), draw.integers(0, slots, batch)] = True
    states = draw.standard_normal((batch, slots, width)).astype(np.float32)
    return {"states": torch.from_numpy(states), "where": torch.from_numpy(where)}


@st.composite
def cases(draw: Callable[..., Any]) -> Case:
    """Any catalogue, network, memory, normalisation, width, prior and allow-list."""
    table, seed = draw(tables()), draw(st.integers(0, 9999))
    width = draw(st.sampled_from([8, 12, 33]))
    model = random_model(
        table,
        seed,
        width=width,
        layers=draw(st.integers(1, 2)),
        heads=draw(st.integers(1, 3)),
        activation=draw(st.sampled_from(["relu", "gated_gelu"])),
        relative_positions=draw(st.booleans()),
        tied=draw(st.booleans()),
    )
    constraint: Constraint = CsrTrie.from_table(table)
    batch = draw(st.integers(1, 5))
    prior = None
    if draw(st.booleans()):
        drawn = np.random.default_rng(seed).standard_normal((batch, constraint.num_nodes))
        drawn[drawn > 1.5] = -np.inf
        prior = torch.from_numpy(drawn.astype(np.float32))
    if draw(st.booleans()):
        some = draw(st.sets(st.integers(0, len(table.document_ids) - 1)))
        constraint = AllowList.from_documents(constraint, table, sorted(some))
    inputs = random_inputs(width, batch, draw(st.sampled_from([1, 3, 40])), seed)
    options = {"width": draw(st.integers(1, 20)), "normalise": draw(st.sampled_from(NORMALISE))}
    return Case(table, model, constraint, inputs, options | {"prior": prior})


def rows_of(result: BeamResult, query: int) -> tuple[list[int], np.ndarray, list[list[int]], np.ndarray]:
    """Keys, scores, paths and steps of one query, padding cut off."""
    real = result.keys[query] >= 0
    keys, paths = result.keys[query][real].tolist(), result.paths[query][real].tolist()
    return keys, result.scores[query][real].numpy(), paths, result.steps[query][real].numpy()


def assert_same(case: Case, native: BeamResult, expected: BeamResult) -> None:
    """The same keys in the same order with the same steps, unless rounding decides between them."""
    for query in range(len(case.inputs["where"])):
        keys, scores, paths, steps = rows_of(native, query)
        wanted_keys, wanted_scores, wanted_paths, wanted_steps = rows_of(expected, query)
        if keys != wanted_keys:
            assert rounding_decides(case, expected)
            continue
        assert paths == wanted_paths
        np.testing.assert_allclose(scores, wanted_scores, atol=TOLERANCE, rtol=TOLERANCE)
        np.testing.assert_allclose(steps, wanted_steps, atol=TOLERANCE, rtol=TOLERANCE)


def rounding_decides(case: Case, expected: BeamResult) -> bool:
    """Whether torch itself answers otherwise once its logits are moved by a hair."""
    table = case.model.embedding if case.model.output is None else case.model.output
    before = table.detach().clone()
    for seed in range(8):
        with torch.no_grad():
            noise = torch.randn(table.shape, generator=torch.Generator().manual_seed(seed))
            table.copy_(before * (1 + TOLERANCE * noise))
            moved = case.torch_result()
            table.copy_(before)
        if not torch.equal(moved.keys, expected.keys):
            return True
    return False
